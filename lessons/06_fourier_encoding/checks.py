"""What the answers of lesson 6 are held to: the project's reference, on points, grids and frequencies of any number."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.fourier_encoding import fourier_encoding, fourier_grid

POINTS = {  # leading axes, F
    "one point, one frequency": ((1,), 1),
    "five points": ((5,), 4),
    "two prompts of three points": ((2, 3), 7),
    "a grid of points": ((4, 5), 6),
    "SAM's 128 frequencies": ((3, 2), 128),
}
GRIDS = {  # height, width, F
    "one cell": (1, 1, 3),
    "a square grid": (4, 4, 5),
    "a wide grid": (2, 7, 4),
    "a tall grid": (5, 3, 8),
    "one row": (1, 6, 2),
    "16 × 16, 48 frequencies": (16, 16, 48),
}
PAIRS = {  # leading axes, F, hidden size
    "three pairs": ((3,), 6, 96),
    "eight pairs, ViT-B's width": ((8,), 32, 768),
    "two rows of pairs": ((2, 5), 16, 64),
    "SAM's 128 frequencies": ((6,), 128, 1280),
}


def point_cases() -> list[Case]:
    cases = []
    for seed, (name, (shape, F)) in enumerate(POINTS.items()):
        rng = np.random.default_rng(seed)
        inputs = {"coords": rng.uniform(0, 1, (*shape, 2)), "gaussian": rng.standard_normal((2, F))}
        cases.append(Case("fourier_encoding", name, inputs))
    corners = {"coords": np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]])}
    gaussian = np.random.default_rng(9).standard_normal((2, 3))
    return [*cases, Case("fourier_encoding", "corners and middle", {**corners, "gaussian": gaussian})]


def grid_cases() -> list[Case]:
    cases = []
    for seed, (name, (height, width, F)) in enumerate(GRIDS.items()):
        gaussian = np.random.default_rng(seed).standard_normal((2, F))
        cases.append(Case("grid_encoding", name, {"gaussian": gaussian}, {"height": height, "width": width}))
    return cases


def pair_cases() -> list[Case]:
    """Pairs up to a fifth of the image apart, so that there is something to measure."""
    cases = []
    for seed, (name, (shape, F, hidden_size)) in enumerate(PAIRS.items()):
        rng = np.random.default_rng(seed)
        a = rng.uniform(0.2, 0.8, (*shape, 2))
        inputs = {
            "a": a,
            "b": a + rng.uniform(-0.1, 0.1, a.shape),
            "noise": rng.standard_normal((2, F)),
        }
        cases.append(Case("nearness", name, inputs, {"hidden_size": hidden_size}))
    return cases


def grid_encoding(gaussian: np.ndarray, height: int, width: int) -> np.ndarray:
    return fourier_grid(height, width, gaussian)


def nearness(a: np.ndarray, b: np.ndarray, noise: np.ndarray, hidden_size: int) -> np.ndarray:
    """The dot product of two codes, divided by the number of frequencies."""
    return (fourier_encoding(a, noise) * fourier_encoding(b, noise)).sum(axis=-1) / noise.shape[1]


EXERCISES = [
    Exercise(
        name="fourier_encoding",
        task="the Fourier encoding of positions in NumPy",
        cases=point_cases,
        reference=fourier_encoding,
        hints=(
            "Move the positions to [−1, 1] first: c = 2 * coords − 1.",
            "c @ gaussian is [..., F]: one number for each frequency. Times 2π it is an angle.",
            "np.concatenate([sines, cosines], axis=-1) puts all sines before all cosines.",
        ),
    ),
    Exercise(
        name="grid_encoding",
        task="the encoding of every cell of a grid, in torch",
        cases=grid_cases,
        reference=grid_encoding,
        framework="torch",
        hints=(
            "x = (torch.arange(width) + 0.5) / width, and y likewise with height.",
            "Make a grid of centres [height, width, 2] whose last axis is (x, y), then encode it as before.",
            "[height, width, 2F] becomes [2F, height, width] by permute(2, 0, 1), not by reshape.",
        ),
    ),
    Exercise(
        name="nearness",
        task="find the bug: how alike two positions are, for frequencies that are drawn anew",
        cases=pair_cases,
        reference=nearness,
        find_the_bug=True,
        hints=(
            "How wide is the bell if every frequency is multiplied by 384?",
            "SAM's frequencies are standard normal numbers, for every size of network.",
        ),
    ),
]

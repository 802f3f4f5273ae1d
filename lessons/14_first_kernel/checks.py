"""What the answers of lesson 14 are held to: the cases of the project's softmax kernel, and a bias on odd grids."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case, cases, reference

GRIDS = {  # rows of scores, H, W
    "one token": (1, 1, 1),
    "sixteen columns, as wide as a block": (3, 2, 16),
    "a wide grid": (4, 3, 7),
    "a tall grid": (2, 9, 2),
    "rows longer than a block": (3, 2, 33),
}


def biased_cases() -> list[Case]:
    found = []
    for seed, (name, (R, H, W)) in enumerate(GRIDS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"scores": normal((R, H * W)), "rel_h": normal((R, H)), "rel_w": normal((R, W))}
        found.append(Case("add_bias", name, inputs))
    return found


def add_bias(scores: np.ndarray, rel_h: np.ndarray, rel_w: np.ndarray) -> np.ndarray:
    """Key token j sits in row j // W and column j % W of the grid."""
    return scores + (rel_h[:, :, None] + rel_w[:, None, :]).reshape(scores.shape)


EXERCISES = [
    Exercise(
        name="softmax_rows",
        task="softmax as a Triton kernel: one program owns one row",
        cases=lambda: cases("softmax"),
        reference=reference("softmax"),
        framework="triton",
        hints=(
            "Program r owns row r: r = tl.program_id(0), and its numbers start at x_ptr + r * N.",
            "columns = tl.arange(0, BLOCK), inside = columns < N; load with mask=inside.",
            'Beyond the end of a row load other=float("-inf"): it never wins the maximum, and exp gives 0.',
            "The launcher: softmax_kernel[(R,)](x, y, scale, N, BLOCK=triton.next_power_of_2(N)).",
        ),
    ),
    Exercise(
        name="add_bias",
        task="find the bug: a kernel that adds a relative-position bias to rows of scores",
        cases=biased_cases,
        reference=add_bias,
        framework="triton",
        find_the_bug=True,
        hints=(
            "It is right where the grid is 16 wide. What else is 16?",
            "In which row of a grid of width W is token number j?",
        ),
    ),
]

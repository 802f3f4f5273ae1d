"""What the answers of lesson 1 are held to: the project's reference, on shapes where patch embeddings break."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.patch_embed import patch_embed

SIZES = {  # B, C, H, W, P, D
    "one patch": (1, 3, 4, 4, 4, 5),
    "a square grid": (1, 3, 6, 6, 2, 4),
    "a wide image": (1, 3, 4, 10, 2, 7),
    "two images": (2, 3, 6, 3, 3, 2),
    "one channel, patches of one pixel": (1, 1, 3, 5, 1, 3),
    "edges that fill no patch": (2, 3, 7, 11, 3, 4),
    "many patches": (1, 2, 36, 32, 2, 3),
}
PADDED = {  # H, W, size
    "a wide image": (3, 5, 6),
    "a tall image": (7, 2, 7),
    "nothing to pad": (4, 4, 4),
    "one pixel": (1, 1, 3),
}


def patch_embed_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, C, H, W, P, D)) in enumerate(SIZES.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"image": normal((B, C, H, W)), "weight": normal((D, C, P, P)), "bias": normal(D)}
        cases.append(Case("patch_embed", name, inputs))
    return cases


def prepare_cases() -> list[Case]:
    cases = []
    for seed, (name, (H, W, size)) in enumerate(PADDED.items()):
        rng = np.random.default_rng(seed)
        inputs = {
            "image": rng.integers(0, 256, (3, H, W)).astype(float),
            "mean": np.array([123.675, 116.28, 103.53]),
            "std": np.array([58.395, 57.12, 57.375]),
        }
        cases.append(Case("prepare", name, inputs, {"size": size}))
    return cases


def prepare(image: np.ndarray, mean: np.ndarray, std: np.ndarray, size: int) -> np.ndarray:
    """Every channel normalised, then zeros to the right and below: minisam.model.sam.Sam.preprocess."""
    normalised = (image - mean[:, None, None]) / std[:, None, None]
    return np.pad(normalised, ((0, 0), (0, size - image.shape[1]), (0, size - image.shape[2])))


EXERCISES = [
    Exercise(
        name="patch_embed",
        task="a patch embedding in NumPy, patch by patch",
        cases=patch_embed_cases,
        reference=patch_embed,
        hints=(
            "P is the last axis of weight; there are H // P rows and W // P columns of patches.",
            "Patch (i, j) is image[:, :, i*P:(i+1)*P, j*P:(j+1)*P], for all images at once.",
            'np.einsum("bcyx,dcyx->bd", patch, weight) sums over channel, row and column; then add the bias.',
        ),
    ),
    Exercise(
        name="patch_embed_torch",
        task="the same in torch, as one matrix product: no loop over patches, no convolution",
        cases=patch_embed_cases,
        reference=patch_embed,
        framework="torch",
        differentiable=("image", "weight", "bias"),
        banned=("conv",),
        most_operations=50,
        hints=(
            "Cut off what fills no patch, then give each image side two axes: which patch, which pixel in it.",
            "[B, C, rows, P, columns, P] has to become [B, rows, columns, C, P, P] before it is flattened.",
            "weight flattened from axis 1 is [D, C*P*P], in the very order of the flattened patch.",
        ),
    ),
    Exercise(
        name="prepare",
        task="find the bug: an image is normalised and padded to a square",
        cases=prepare_cases,
        reference=prepare,
        find_the_bug=True,
        hints=(
            "What number stands in the padding once the function is done? What colour is that?",
            "The network should see padding as the mean colour, which is 0 after the normalisation.",
        ),
    ),
]

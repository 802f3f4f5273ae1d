"""What the answers of lesson 3 are held to: the reference and the cases of the project's window attention."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case, cases
from minisam_kernels.reference.window_attention import window_attention

PARTITIONED = {  # B, H, W, C, S
    "one window": (1, 3, 3, 2, 3),
    "whole windows, two images": (2, 4, 6, 3, 2),
    "padded right and below": (1, 5, 7, 2, 3),
    "smaller than a window": (2, 2, 3, 2, 4),
    "windows of one token": (1, 2, 3, 2, 1),
    "SAM's grid": (1, 64, 64, 2, 14),
}
ATTENDED = {  # B, H, W, N, D, S
    "one window": (1, 3, 3, 1, 4, 3),
    "whole windows, two images": (2, 4, 6, 2, 4, 2),
    "padded right and below": (1, 5, 7, 2, 4, 3),
    "smaller than a window": (2, 2, 3, 1, 8, 4),
    "padded to the right alone": (1, 4, 5, 3, 2, 4),
}


def partition_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, C, S)) in enumerate(PARTITIONED.items()):
        x = np.random.default_rng(seed).standard_normal((B, H, W, C))
        found.append(Case("window_partition", name, {"x": x}, {"window_size": S}))
    return found


def window_partition(x: np.ndarray, window_size: int) -> np.ndarray:
    """Window by window, from the top left to the right, then down."""
    S = window_size
    _, H, W, _ = x.shape
    padded = np.pad(x, ((0, 0), (0, -H % S), (0, -W % S), (0, 0)))
    corners = [(top, left) for top in range(0, H, S) for left in range(0, W, S)]
    return np.stack([image[top : top + S, left : left + S] for image in padded for top, left in corners])


def without_tables(case: Case) -> Case:
    """The kernel's case without its relative positions, which lesson 4 brings."""
    inputs = {name: array for name, array in case.inputs.items() if not name.startswith("rel_pos")}
    return Case(case.operation, case.name, inputs, case.constants)


def window_attention_alone(
    qkv: np.ndarray, qkv_bias: np.ndarray, num_heads: int, window_size: int
) -> np.ndarray:
    """The reference, with relative positions that are zero."""
    table = np.zeros((2 * window_size - 1, len(qkv_bias) // (3 * num_heads)), qkv.dtype)
    return window_attention(qkv, qkv_bias, table, table, num_heads, window_size)


def attend_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, N, D, S)) in enumerate(ATTENDED.items()):
        normal, C = np.random.default_rng(seed).standard_normal, N * D
        inputs = {
            "x": normal((B, H, W, C)),
            "qkv_weight": C**-0.5 * normal((3 * C, C)),
            "qkv_bias": normal(3 * C),
        }
        found.append(Case("attend_in_windows", name, inputs, {"num_heads": N, "window_size": S}))
    return found


def attend_in_windows(
    x: np.ndarray, qkv_weight: np.ndarray, qkv_bias: np.ndarray, num_heads: int, window_size: int
) -> np.ndarray:
    """Project the real tokens; the reference pads with the bias."""
    return window_attention_alone(x @ qkv_weight.T + qkv_bias, qkv_bias, num_heads, window_size)


EXERCISES = [
    Exercise(
        name="window_partition",
        task="a grid of tokens cut into windows, in NumPy, with padding where it does not fit",
        cases=partition_cases,
        reference=window_partition,
        hints=(
            "-H % S is how many rows are missing to the next multiple of S; it is 0 when none are.",
            "Give each side two axes, which window and which place in it: [B, down, S, across, S, C].",
            "Move the axes to [B, down, across, S, S, C], then reshape to [-1, S, S, C].",
        ),
    ),
    Exercise(
        name="window_attention",
        task="attention within windows in torch, from the projections of the real tokens",
        cases=lambda: [without_tables(case) for case in cases("window_attention")],
        reference=window_attention_alone,
        framework="torch",
        differentiable=("qkv", "qkv_bias"),
        hints=(
            "A padded token is zero before the projection. What is its q, k and v after it? Pad with that.",
            "Each window's tokens are [S·S, 3·C]; the last axis is q, k, v, and within each the heads: "
            "reshape to [windows, S·S, 3, heads, D], permute to [3, windows, heads, S·S, D].",
            "The way back is the way there in reverse: heads next to their channels, [B, down, across, S, S, C], "
            "exchange axes 2 and 3, join, and cut to H and W.",
        ),
    ),
    Exercise(
        name="attend_in_windows",
        task="find the bug: windows with a mask over the padding",
        cases=attend_cases,
        reference=attend_in_windows,
        find_the_bug=True,
        hints=(
            "It is right whenever nothing has to be padded. Which lines do something only when there is padding?",
            "SAM's weights were trained with the padding as keys. Which line keeps them out?",
        ),
    ),
]

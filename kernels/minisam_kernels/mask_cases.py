"""Low-resolution logits on which the mask kernels have to be correct: discs, and harder cases.

A disc has tiles far outside, tiles far inside, and an outline between them. In the hard cases, logits lie exactly on
a threshold or next to it, all of them lie on one side, or only a few logits cross a threshold. A kernel that decides
about a tile without computing it must not miss these few.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minisam_kernels.reference.bilinear_steps import bilinear_steps

# Their results are whole numbers, which have the same bits everywhere and no gradient.
COUNTING = ("mask_statistics", "mask_bits")
MASK_SIZES: dict[str, tuple[int, ...]] = {  # P, h, w, H, W
    "one logit, one pixel": (1, 1, 1, 1, 1),
    "prime": (2, 13, 11, 19, 37),
    "one row": (1, 7, 9, 1, 70),
    "one column": (2, 9, 7, 33, 1),
    "enlarged once": (1, 8, 8, 32, 32),
    "made smaller": (1, 24, 40, 9, 15),
    "many tiles": (1, 16, 24, 70, 130),
    "hard": (1, 24, 40, 20, 35),
}


def mask_inputs(size: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A disc for each of P masks, as logits; the weights are those of SAM's two steps, four pixels per logit."""
    P, h, w, H, W = size
    y, x = np.mgrid[:h, :w] + 0.5
    low_res = np.empty((P, h, w))
    for mask in low_res:
        centre_y, centre_x = rng.uniform(0.3, 0.7, 2) * (h, w)
        distance = np.hypot(y - centre_y, x - centre_x)
        mask[...] = 3 * (rng.uniform(0.25, 0.4) * max(h, w) - distance) + 0.3 * rng.standard_normal((h, w))
    axes = (
        (low, 4 * low, max(1, round(4 * low * length / max(H, W))), length)
        for low, length in ((h, H), (w, W))
    )
    (row_first, row_weights), (column_first, column_weights) = (bilinear_steps(*axis) for axis in axes)
    return {
        "low_res": low_res,
        "row_first": row_first,
        "row_weights": row_weights,
        "column_first": column_first,
        "column_weights": column_weights,
    }


def mask_thresholds(operation: str) -> dict[str, int | float]:
    """SAM's threshold, and one above and below it for the stability."""
    return {"threshold": 0.0} if operation == "mask_bits" else {"lower": -1.0, "middle": 0.0, "upper": 1.0}


def on_the_thresholds(low_res: np.ndarray) -> None:
    np.sign(low_res, out=low_res)


def next_to_the_thresholds(low_res: np.ndarray) -> None:
    """Less than the rounding bound away, in float32."""
    low_res[...] = np.where(low_res > 0, 1 + 5e-7, -1 - 5e-7)


def all_zero(low_res: np.ndarray) -> None:
    low_res[...] = 0


def all_set(low_res: np.ndarray) -> None:
    low_res[...] = 9 + low_res / 100


def empty(low_res: np.ndarray) -> None:
    low_res[...] = -9 + low_res / 100


def few_logits_set(low_res: np.ndarray) -> None:
    low_res[...] = -8
    low_res[:, 9:11, 16:18] = 12


def few_logits_missing(low_res: np.ndarray) -> None:
    low_res[...] = 8
    low_res[:, 4:6, 30:32] = -12


def all_on_the_lower_threshold(low_res: np.ndarray) -> None:
    low_res[...] = -1


def between_the_thresholds(low_res: np.ndarray) -> None:
    low_res[...] = np.clip(low_res, -0.75, 0.75)


def huge(low_res: np.ndarray) -> None:
    low_res *= 1000


HARD_MASKS: dict[str, Callable[[np.ndarray], None]] = {
    "on the thresholds": on_the_thresholds,
    "next to the thresholds": next_to_the_thresholds,
    "all zero": all_zero,
    "all set": all_set,
    "empty": empty,
    "few logits set": few_logits_set,
    "few logits missing": few_logits_missing,
    "all on the lower threshold": all_on_the_lower_threshold,
    "between the thresholds": between_the_thresholds,
    "huge": huge,
}

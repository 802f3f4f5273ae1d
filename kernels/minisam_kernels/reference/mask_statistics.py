"""The numbers by which masks are filtered: three areas, a box, and the number of pixels in doubt.

    pixel[y, x] = sum_s rows[y, s] sum_t columns[x, t] logit[y' + s, x' + t]        y' = row_first[y], x' likewise
    area(t)     = the number of pixels > t                stability = area(upper) / area(lower)
    box         = the first and last column and row with a pixel > middle

An image has far more pixels than the result has numbers; a good implementation does not store them. For a pixel close
to a threshold, rounding decides on which side it lies. Let u be 2^-24 in float32 (2^-53 in float64) and m the largest
|logit| that contributes to a pixel. With at most four weights per axis, the error of this sum is 10 u m or less:
along each axis a weight and its product are rounded, and three sums. The same holds for F.interpolate with its two
steps. A pixel is in doubt at t unless

    |pixel - t| > 20 u m + 2^-126        or        m = 0, where every order of the sums gives 0

A pixel that is not in doubt lies on the same side of t in both implementations, and for any other order of the sums.
The number of pixels in doubt is returned. If it is zero, areas and box are equal to those from F.interpolate.

The order of the sums is part of the definition: s and t increase, and every product and every sum is rounded.

Symbols   P masks   h, w low resolution   H, W image   T weights of a pixel along one axis (bilinear_steps.py)
Source    Kirillov et al. 2023 (SAM), section B, for the filters; segment-anything for the two bilinear steps.
"""

from __future__ import annotations

import numpy as np

ROUNDINGS = 10
SMALLEST = 2.0**-126


def upscaled(
    low_res: np.ndarray,
    row_first: np.ndarray,
    row_weights: np.ndarray,
    column_first: np.ndarray,
    column_weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [P, H, W], and for each the largest |logit| that contributes to it."""
    across, largest = (np.zeros_like(low_res[:, :, column_first]) for _ in range(2))
    for tap, weights in enumerate(column_weights.T):
        logits = low_res[:, :, column_first + tap]
        across, largest = across + weights * logits, np.maximum(largest, abs(logits))
    pixels, size = (np.zeros_like(across[:, row_first]) for _ in range(2))
    for tap, weights in enumerate(row_weights.T):
        rows = row_first + tap
        pixels = pixels + weights[:, None] * across[:, rows]
        size = np.maximum(size, largest[:, rows])
    return pixels, size


def mask_statistics(
    low_res: np.ndarray,
    row_first: np.ndarray,
    row_weights: np.ndarray,
    column_first: np.ndarray,
    column_weights: np.ndarray,
    lower: float,
    middle: float,
    upper: float,
) -> np.ndarray:
    """low_res [P, h, w], firsts [H] and [W], weights [H, T] and [W, T] -> [P, 8] int32.

    The columns: areas at lower, middle and upper; pixels in doubt; the box x0, y0, x1, y1, zeros for an empty mask.
    """
    pixels, size = upscaled(low_res, row_first, row_weights, column_first, column_weights)
    unit = np.finfo(pixels.dtype).eps / 2
    margin, nothing = 2 * ROUNDINGS * unit * size + SMALLEST, (size == 0) & (pixels == 0)
    in_doubt = np.zeros(pixels.shape, bool)
    for threshold in (lower, middle, upper):
        in_doubt |= ~((abs(pixels - threshold) > margin) | nothing)
    statistics = np.zeros((len(low_res), 8), np.int32)
    for mask, (values, doubts) in enumerate(zip(pixels, in_doubt, strict=True)):
        statistics[mask, :3] = [(values > threshold).sum() for threshold in (lower, middle, upper)]
        statistics[mask, 3] = doubts.sum()
        y, x = np.nonzero(values > middle)
        if len(x):
            statistics[mask, 4:] = x.min(), y.min(), x.max(), y.max()
    return statistics

"""A tile of an image, bilinearly upscaled from a few low-resolution logits.

    pixel[y, x] = Σ_s rows[y, s] Σ_t columns[x, t] logit[row_first[y] + s, column_first[x] + t]

SAM's two steps, to the network's square and from there to the image, are one sum of this form with at most four
weights per axis (reference/bilinear_steps.py). A tile of 32 x 32 pixels lies over about 10 x 10 logits. Most tiles
lie completely inside or outside a mask. There, all logits are far on one side of all thresholds, and so is every
weighted mean of them: these tiles are decided without computing a pixel. Only tiles along the outline are computed.

Sums are in a fixed order, s and t increasing. Every launch has FUSED=False, which forbids fused multiply-adds: each
product and each sum is rounded, and NumPy, the interpreter and every GPU give the same bits.

Symbols   h, w low resolution   T weights of a pixel along one axis   M rows and K columns of a tile
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or static_range and what a function returns.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.launch import check_shape, check_tensors

FUSED = False
MOST_TAPS = 4
ROUNDINGS = 10
PATCH_H, PATCH_W = 8, 16
SMALLEST: tl.constexpr = tl.constexpr(2.0**-126)


def doubt_of(dtype: torch.dtype) -> float:
    """How far two roundings of one pixel may differ, relative to the largest |logit| that contributes to it."""
    return 2 * ROUNDINGS * (2.0**-53 if dtype == torch.float64 else 2.0**-24)


def check_upscaling(
    operation: str,
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
) -> None:
    """Raises ValueError unless these are masks [P, h, w] and the firsts and weights of rows and columns."""
    check_tensors(operation, low_res=low_res, row_weights=row_weights, column_weights=column_weights)
    if low_res.ndim != 3:
        raise ValueError(f"{operation}: low_res must be [P, h, w], got {list(low_res.shape)}")
    axes = {"row": (row_first, row_weights), "column": (column_first, column_weights)}
    for (axis, (first, weights)), length in zip(axes.items(), low_res.shape[1:], strict=True):
        if first.dtype != torch.int32 or first.device != low_res.device:
            raise ValueError(
                f"{operation}: {axis}_first must be int32 on {low_res.device}, got {first.dtype} on {first.device}"
            )
        if weights.ndim != 2 or not 1 <= weights.shape[1] <= min(MOST_TAPS, length) or not len(weights):
            raise ValueError(
                f"{operation}: {axis}_weights must be one to {MOST_TAPS} weights per pixel, of {length} logits, "
                f"got {list(weights.shape)}"
            )
        check_shape(operation, f"{axis}_first", first, (len(weights),))


@triton.jit
def taps_along(first_ptr, places, ok, taps: tl.constexpr):
    """The first logit of each pixel along a tile's axis, and the first and last logit that any of them needs."""
    first = tl.load(first_ptr + places, mask=ok, other=0)
    start = tl.min(tl.where(ok, first, 2147483647), axis=0)
    stop = tl.max(tl.where(ok, first, 0), axis=0) + taps
    return first, start, stop


@triton.jit
def extremes(
    logits_ptr, top, bottom, left, right, w, ACC: tl.constexpr, PATCH_H: tl.constexpr, PATCH_W: tl.constexpr
):
    """The smallest and the largest of the logits in rows top … bottom - 1 and columns left … right - 1.

    With a NaN among them they are -inf and inf, on both sides of every threshold.
    """
    smallest = tl.full([PATCH_H, PATCH_W], float("inf"), ACC)
    largest = tl.full([PATCH_H, PATCH_W], float("-inf"), ACC)
    for y in range(top, bottom, PATCH_H):
        for x in range(left, right, PATCH_W):
            rows, columns = y + tl.arange(0, PATCH_H), x + tl.arange(0, PATCH_W)
            ok = (rows < bottom)[:, None] & (columns < right)[None, :]
            logits = tl.load(logits_ptr + rows[:, None] * w + columns[None, :], mask=ok, other=0.0).to(ACC)
            known = logits == logits
            smallest = tl.minimum(
                smallest, tl.where(ok, tl.where(known, logits, float("-inf")), float("inf"))
            )
            largest = tl.maximum(largest, tl.where(ok, tl.where(known, logits, float("inf")), float("-inf")))
    return tl.min(tl.min(smallest, axis=1), axis=0), tl.max(tl.max(largest, axis=1), axis=0)


@triton.jit
def upscaled_tile(
    logits_ptr, rows, row_ok, first_row, row_weights_ptr, columns, column_ok, first_column, column_weights_ptr,
    w, ACC: tl.constexpr, ROW_TAPS: tl.constexpr, COLUMN_TAPS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Pixels [M, K], and the largest |logit| of each; undefined in rows and columns that are not ok."""
    pixels = tl.zeros([BLOCK_M, BLOCK_K], ACC)
    size = tl.zeros([BLOCK_M, BLOCK_K], ACC)
    for s in tl.static_range(ROW_TAPS):
        across = tl.zeros([BLOCK_M, BLOCK_K], ACC)
        for t in tl.static_range(COLUMN_TAPS):
            weights = tl.load(
                column_weights_ptr + columns * COLUMN_TAPS + t, mask=column_ok, other=0.0
            )  # [K]
            places = (first_row + s)[:, None] * w + (first_column + t)[None, :]
            logits = tl.load(logits_ptr + places).to(ACC)  # [M, K]
            across += weights.to(ACC)[None, :] * logits
            size = tl.maximum(size, tl.abs(logits))
        weights = tl.load(row_weights_ptr + rows * ROW_TAPS + s, mask=row_ok, other=0.0)  # [M]
        pixels += weights.to(ACC)[:, None] * across
    return pixels, size


@triton.jit
def decided_tile(
    logits_ptr, rows, row_ok, row_first_ptr, row_weights_ptr, columns, column_ok, column_first_ptr,
    column_weights_ptr, w, lowest, highest, doubt,
    ACC: tl.constexpr, ROW_TAPS: tl.constexpr, COLUMN_TAPS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, PATCH_H: tl.constexpr, PATCH_W: tl.constexpr,
):  # fmt: skip
    """Pixels and sizes of a tile, for thresholds lowest … highest; -inf or inf, and 0, if the tile is on one side.

    The margin is four times the bound for a pixel in doubt, which also covers the rounding of pixel and margin.
    """
    first_row, top, bottom = taps_along(row_first_ptr, rows, row_ok, ROW_TAPS)
    first_column, left, right = taps_along(column_first_ptr, columns, column_ok, COLUMN_TAPS)
    smallest, largest = extremes(logits_ptr, top, bottom, left, right, w, ACC, PATCH_H, PATCH_W)
    margin = 4 * (doubt * tl.maximum(largest, -smallest) + SMALLEST)
    size = tl.zeros([BLOCK_M, BLOCK_K], ACC)
    if largest < lowest - margin:
        pixels = tl.full([BLOCK_M, BLOCK_K], float("-inf"), ACC)
    elif smallest > highest + margin:
        pixels = tl.full([BLOCK_M, BLOCK_K], float("inf"), ACC)
    else:
        pixels, size = upscaled_tile(
            logits_ptr, rows, row_ok, first_row, row_weights_ptr, columns, column_ok, first_column,
            column_weights_ptr, w, ACC, ROW_TAPS, COLUMN_TAPS, BLOCK_M, BLOCK_K,
        )  # fmt: skip
    return pixels, size


@triton.jit
def in_doubt(pixels, size, threshold, doubt):
    """Which pixels may lie on either side of a threshold, depending on rounding; NaN is one of them."""
    margin = doubt * size + SMALLEST
    certain = (tl.abs(pixels - threshold) > margin) | ((size == 0) & (pixels == 0))
    return certain == 0

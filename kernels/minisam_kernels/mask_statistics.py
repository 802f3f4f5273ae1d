"""The numbers by which masks are filtered, from low-resolution logits, without storing upscaled logits.

    pixel = Σ_s rows[y, s] Σ_t columns[x, t] logit          areas above lower, middle, upper; pixels in doubt; box

Segment-anything upscales every mask to the network's square, then to the image, and reads the result again for each
comparison and each sum: at 1024 x 1024 pixels about fifteen passes over 4 MB, for a mask that is 256 KB at low
resolution. In this kernel, pixels stay in registers. Tiles that lie on one side of all thresholds are not computed at
all (bilinear_tiles.py).

Counts are whole numbers, and the order in which they are added does not matter. The result includes the number of
pixels that may depend on the order of floating-point sums. If `in doubt` is 0, the other numbers are exactly those
from F.interpolate; if not, the caller uses F.interpolate (reference/mask_statistics.py derives the bound). There is
no gradient: a count is constant almost everywhere, and jumps where it changes.

Bytes     the logits once, P h w numbers; 32 bytes for every BLOCK_M rows of every mask's image.
Symbols   P masks   h, w low resolution   H, W image   T weights of a pixel along one axis
          M rows and K columns of a tile
Ladder    reference/bilinear_steps.py -> reference/mask_statistics.py -> bilinear_tiles.py -> here -> mask_bits.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.bilinear_tiles import (
    FUSED,
    PATCH_H,
    PATCH_W,
    check_upscaling,
    decided_tile,
    doubt_of,
    in_doubt,
)
from minisam_kernels.launch import Launch, chosen

COLUMNS = ("lower", "middle", "upper", "in_doubt", "x0", "y0", "x1", "y1")
LAUNCHES = {
    "large": Launch(block_m=16, block_k=16, num_warps=1, num_stages=1),
    "small": Launch(block_m=16, block_k=16, num_warps=8, num_stages=1),
}
"""In a program of one warp, the extremes of a tile are found by shuffles, without a barrier."""
SMALL_IMAGE = 128
HALF = tl.constexpr(2**16)
"""Two counts share a number of 32 bits: a thread sees a pixel of each tile of a strip, far fewer than 2¹⁵."""


@triton.jit
def _mask_statistics_kernel(
    low_res_ptr, row_first_ptr, row_weights_ptr, column_first_ptr, column_weights_ptr, parts_ptr,
    lower, middle, upper, doubt, h, w, H, W,
    ROW_TAPS: tl.constexpr, COLUMN_TAPS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
    PATCH_H: tl.constexpr, PATCH_W: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M rows of one mask's image and goes along them tile by tile."""
    ACC: tl.constexpr = tl.float64 if low_res_ptr.dtype.element_ty == tl.float64 else tl.float32
    mask, strip, strips = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    logits_ptr = low_res_ptr + mask * h * w
    lowest = tl.minimum(tl.minimum(lower, middle), upper)
    highest = tl.maximum(tl.maximum(lower, middle), upper)
    rows = strip * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < H

    # Two counts in each number; every thread adds up its own pixels, and nothing is exchanged before the end.
    lower_and_middle = tl.zeros([BLOCK_M, BLOCK_K], tl.int32)
    upper_and_doubt = tl.zeros([BLOCK_M, BLOCK_K], tl.int32)
    first = tl.full([BLOCK_M, BLOCK_K], W, tl.int32)
    last = tl.full([BLOCK_M, BLOCK_K], -1, tl.int32)
    for start in range(0, W, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < W
        pixels, size = decided_tile(
            logits_ptr, rows, row_ok, row_first_ptr, row_weights_ptr, columns, column_ok, column_first_ptr,
            column_weights_ptr, w, lowest, highest, doubt,
            ACC, ROW_TAPS, COLUMN_TAPS, BLOCK_M, BLOCK_K, PATCH_H, PATCH_W,
        )  # fmt: skip
        ok = row_ok[:, None] & column_ok[None, :]
        set_pixels = ok & (pixels > middle)
        lower_and_middle += (ok & (pixels > lower)).to(tl.int32) + set_pixels.to(tl.int32) * HALF
        first = tl.minimum(first, tl.where(set_pixels, columns[None, :], W))
        last = tl.maximum(last, tl.where(set_pixels, columns[None, :], -1))
        unsure = in_doubt(pixels, size, lower, doubt) | in_doubt(pixels, size, middle, doubt)
        unsure = unsure | in_doubt(pixels, size, upper, doubt)
        upper_and_doubt += (ok & (pixels > upper)).to(tl.int32) + (ok & unsure).to(tl.int32) * HALF

    part = parts_ptr + (mask * strips + strip) * 8
    in_row = tl.sum(lower_and_middle // HALF, axis=1)  # [M]
    tl.store(part, tl.sum(tl.sum(lower_and_middle % HALF, axis=1), axis=0))
    tl.store(part + 1, tl.sum(in_row, axis=0))
    tl.store(part + 2, tl.sum(tl.sum(upper_and_doubt % HALF, axis=1), axis=0))
    tl.store(part + 3, tl.sum(tl.sum(upper_and_doubt // HALF, axis=1), axis=0))
    tl.store(part + 4, tl.min(tl.min(first, axis=1), axis=0))
    tl.store(part + 5, tl.min(tl.where(in_row > 0, rows, H), axis=0))
    tl.store(part + 6, tl.max(tl.max(last, axis=1), axis=0))
    tl.store(part + 7, tl.max(tl.where(in_row > 0, rows, -1), axis=0))


def mask_statistics(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    lower: float,
    middle: float,
    upper: float,
    *,
    launch: str | None = None,
) -> Tensor:
    """Areas, pixels in doubt and box of each mask's image, [P, 8] int32, in the order of COLUMNS.

    low_res [P, h, w] logits; row_first [H] int32 and row_weights [H, T]: a row of pixels is the weighted sum of T
    rows of logits that start at row_first, with T at most 4 and row_first in 0 … h - T; the same for columns.  The
    thresholds apply to pixels.  The box of an empty mask is zeros.  `launch` is one of LAUNCHES, by default the one
    made for the image's size.
    Raises ValueError where there is no kernel.
    """
    tensors = (low_res, row_first, row_weights, column_first, column_weights)
    check_upscaling("mask_statistics", *tensors)
    launch = launch or launch_for(len(row_first), len(column_first))
    return _mask_statistics(*tensors, float(lower), float(middle), float(upper), launch)


def launch_for(height: int, width: int) -> str:
    return "small" if max(height, width) <= SMALL_IMAGE else "large"


@torch.library.custom_op(
    "minisam::mask_statistics",
    mutates_args=(),
    schema="(Tensor low_res, Tensor row_first, Tensor row_weights, Tensor column_first, Tensor column_weights,"
    " float lower, float middle, float upper, str launch) -> Tensor",
)
def _mask_statistics(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    lower: float,
    middle: float,
    upper: float,
    launch: str,
) -> Tensor:
    choice = chosen(LAUNCHES, launch)
    tensors = (low_res, row_first, row_weights, column_first, column_weights)
    tensors = tuple(tensor.contiguous() for tensor in tensors)
    (P, h, w), (H, ROW_TAPS), (W, COLUMN_TAPS) = low_res.shape, row_weights.shape, column_weights.shape
    strips = triton.cdiv(H, choice.block_m)
    parts = torch.empty((P, strips, len(COLUMNS)), dtype=torch.int32, device=low_res.device)
    if P > 0:
        _mask_statistics_kernel[(P, strips)](
            *tensors, parts, lower, middle, upper, doubt_of(low_res.dtype), h, w, H, W, ROW_TAPS, COLUMN_TAPS,
            **choice.options(), PATCH_H=PATCH_H, PATCH_W=PATCH_W, enable_fp_fusion=FUSED,
        )  # fmt: skip
    return join_strips(parts)


def join_strips(parts: Tensor) -> Tensor:
    """Adds the counts and unites the boxes: [P, strips, 8] -> [P, 8]."""
    counts = parts[:, :, :4].sum(dim=1, dtype=torch.int32)
    corners = torch.cat([parts[:, :, 4:6].amin(dim=1), parts[:, :, 6:].amax(dim=1)], dim=1)
    return torch.cat([counts, corners.where(counts[:, 1:2] > 0, 0)], dim=1)


@_mask_statistics.register_fake
def _(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    lower: float,
    middle: float,
    upper: float,
    launch: str,
) -> Tensor:
    return low_res.new_empty((len(low_res), len(COLUMNS)), dtype=torch.int32)

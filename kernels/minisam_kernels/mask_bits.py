"""Masks as one bit per pixel, down their columns, directly from low-resolution logits.

    bit r of word[x, q] = pixel[32 q + r, x] > threshold

Masks that pass the filters of mask_statistics.py are written out, to compute their run lengths. A mask of 1024 x 1024
pixels is 4 MB as upscaled logits and 1 MB as bytes, but 132 KB as bits. Where a run starts or ends, a word differs
from the same word shifted by one bit (reference/mask_bits.py); finding these places takes a few operations for 32
pixels.

The pixels are computed as in mask_statistics.py, tile by tile, in the same order and with the same bits. If a mask
has no pixel in doubt there, it is equal to the mask from F.interpolate. A bit has no gradient.

Bytes     the logits once, P h w numbers; H / 8 + 4 bytes per column.
Symbols   P masks   h, w low resolution   H, W image   Q words of a column   T weights of a pixel along one axis
          M = 32 rows and K columns of a tile
Ladder    reference/bilinear_steps.py -> reference/mask_bits.py -> mask_statistics.py -> here
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.bilinear_tiles import FUSED, PATCH_H, PATCH_W, check_upscaling, decided_tile, doubt_of
from minisam_kernels.launch import Launch, chosen
from minisam_kernels.mask_statistics import launch_for

WORD = 32
LAUNCHES = {
    "large": Launch(block_m=WORD, block_k=32, num_warps=4, num_stages=1),
    "small": Launch(block_m=WORD, block_k=16, num_warps=4, num_stages=1),
}


@triton.jit
def _mask_bits_kernel(
    low_res_ptr, row_first_ptr, row_weights_ptr, column_first_ptr, column_weights_ptr, bits_ptr,
    threshold, doubt, h, w, H, W, Q,
    ROW_TAPS: tl.constexpr, COLUMN_TAPS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
    PATCH_H: tl.constexpr, PATCH_W: tl.constexpr,
):  # fmt: skip
    """One program owns one word of every column of one mask: 32 rows of its image."""
    tl.static_assert(BLOCK_M == 32, "a word has 32 bits")
    ACC: tl.constexpr = tl.float64 if low_res_ptr.dtype.element_ty == tl.float64 else tl.float32
    mask, word = tl.program_id(0).to(tl.int64), tl.program_id(1)
    logits_ptr = low_res_ptr + mask * h * w
    bit = tl.arange(0, BLOCK_M)
    rows = word * BLOCK_M + bit
    row_ok = rows < H
    for start in range(0, W, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < W
        pixels, _ = decided_tile(
            logits_ptr, rows, row_ok, row_first_ptr, row_weights_ptr, columns, column_ok, column_first_ptr,
            column_weights_ptr, w, threshold, threshold, doubt,
            ACC, ROW_TAPS, COLUMN_TAPS, BLOCK_M, BLOCK_K, PATCH_H, PATCH_W,
        )  # fmt: skip
        above = row_ok[:, None] & (pixels > threshold)
        words = tl.sum(above.to(tl.int32) << bit[:, None], axis=0)  # [K]
        tl.store(bits_ptr + (mask * W + columns) * Q + word, words, mask=column_ok)


def mask_bits(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    threshold: float,
    *,
    launch: str | None = None,
) -> Tensor:
    """Each mask's image as bits, [P, W, Q] int32 with Q = H // 32 + 1: 1 where a pixel is above the threshold.

    low_res [P, h, w] logits; row_first [H] int32 and row_weights [H, T]: a row of pixels is the weighted sum of T
    rows of logits that start at row_first, with T at most 4 and row_first in 0 … h - T; the same for columns.
    `launch` is one of LAUNCHES, by default the one made for the image's size.  Raises ValueError where there is no
    kernel.
    """
    tensors = (low_res, row_first, row_weights, column_first, column_weights)
    check_upscaling("mask_bits", *tensors)
    return _mask_bits(*tensors, float(threshold), launch or launch_for(len(row_first), len(column_first)))


@torch.library.custom_op(
    "minisam::mask_bits",
    mutates_args=(),
    schema="(Tensor low_res, Tensor row_first, Tensor row_weights, Tensor column_first, Tensor column_weights,"
    " float threshold, str launch) -> Tensor",
)
def _mask_bits(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    threshold: float,
    launch: str,
) -> Tensor:
    choice = chosen(LAUNCHES, launch)
    tensors = (low_res, row_first, row_weights, column_first, column_weights)
    tensors = tuple(tensor.contiguous() for tensor in tensors)
    (P, h, w), (H, ROW_TAPS), (W, COLUMN_TAPS) = low_res.shape, row_weights.shape, column_weights.shape
    Q = H // WORD + 1
    bits = torch.empty((P, W, Q), dtype=torch.int32, device=low_res.device)
    if P > 0:
        _mask_bits_kernel[(P, Q)](
            *tensors, bits, threshold, doubt_of(low_res.dtype), h, w, H, W, Q, ROW_TAPS, COLUMN_TAPS,
            **choice.options(), PATCH_H=PATCH_H, PATCH_W=PATCH_W, enable_fp_fusion=FUSED,
        )  # fmt: skip
    return bits


@_mask_bits.register_fake
def _(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    threshold: float,
    launch: str,
) -> Tensor:
    return low_res.new_empty((len(low_res), len(column_first), len(row_first) // WORD + 1), dtype=torch.int32)

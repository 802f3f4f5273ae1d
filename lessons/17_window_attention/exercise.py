"""Lesson 17: write the addresses and the kernel, mend the third. `minisam lesson check 17 FILE` judges them."""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor


def window_slots(qkv: np.ndarray, qkv_bias: np.ndarray, window: int, window_size: int) -> np.ndarray:
    """qkv [B, H, W, 3·C] -> q, k and v of the S·S places of one window, [S·S, 3·C], place by place, row by row.

    `window` counts the windows of all images: image by image, in each along its rows of windows. A place beyond the
    grid's edge has qkv_bias [3·C].
    """
    raise NotImplementedError


@triton.jit
def window_attention_kernel(
    qkv_ptr, bias_ptr, out_ptr, scale, H, W, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M places of one window and head as queries, and meets its S·S places as keys."""


def window_attention(qkv: Tensor, qkv_bias: Tensor, num_heads: int, window_size: int) -> Tensor:
    """qkv [B, H, W, 3·C] of the tokens there are, qkv_bias [3·C] -> [B, H, W, C]; no relative positions."""
    raise NotImplementedError


@triton.jit
def join_kernel(windows_ptr, grid_ptr, H, W, C, S, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr):
    """One program owns one window and writes its tokens back to their places. There is a bug in it."""
    window = tl.program_id(0)
    down, across = tl.cdiv(H, S), tl.cdiv(W, S)
    image = (window // (down * across)).to(tl.int64)
    top, left = window // down % down * S, window % down * S
    n, channels = tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_C)
    inside = (n < S * S)[:, None] & (channels < C)[None, :]
    x = tl.load(windows_ptr + (window * S * S + n)[:, None] * C + channels[None, :], mask=inside, other=0.0)
    row, column = top + n // S, left + n % S
    on_grid = (row < H) & (column < W)
    token = (image * H + row) * W + column
    tl.store(grid_ptr + token[:, None] * C + channels[None, :], x, mask=inside & on_grid[:, None])


def join_windows(windows: Tensor, H: int, W: int) -> Tensor:
    """The windows [images · down · across, S, S, C] of padded grids -> the grids [images, H, W, C]."""
    count, S, _, C = windows.shape
    images = count // (triton.cdiv(H, S) * triton.cdiv(W, S))
    grid = torch.empty((images, H, W, C), dtype=windows.dtype, device=windows.device)
    blocks = {"BLOCK_T": triton.next_power_of_2(S * S), "BLOCK_C": triton.next_power_of_2(C)}
    join_kernel[(count,)](windows, grid, H, W, C, S, **blocks)
    return grid

"""Solutions of lesson 17."""

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
    _, H, W, channels = qkv.shape
    S = window_size
    down, across = -(-H // S), -(-W // S)
    image = window // (down * across)
    top, left = window // across % down * S, window % across * S
    n = np.arange(S * S)
    row, column = top + n // S, left + n % S
    on_grid = (row < H) & (column < W)
    token = (image * H + row) * W + column
    memory = qkv.reshape(-1, channels)
    return np.where(on_grid[:, None], memory[np.where(on_grid, token, 0)], qkv_bias)


@triton.jit
def window_attention_kernel(
    qkv_ptr, bias_ptr, out_ptr, scale, H, W, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M places of one window and head as queries, and meets its S·S places as keys."""
    window, head, C = tl.program_id(0), tl.program_id(1), tl.num_programs(1) * D
    down, across = tl.cdiv(H, S), tl.cdiv(W, S)
    image = (window // (down * across)).to(tl.int64)
    top, left = window // across % down * S, window % across * S
    dims = tl.arange(0, BLOCK_D)
    dim_ok = (dims < D)[None, :]

    m = tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M)
    query_row, query_column = top + m // S, left + m % S
    query = (image * H + query_row) * W + query_column
    query_ok = (m < S * S) & (query_row < H) & (query_column < W)
    q_ptrs = qkv_ptr + query[:, None] * 3 * C + head * D + dims[None, :]
    q = tl.load(q_ptrs, mask=query_ok[:, None] & dim_ok, other=0.0)  # [M, D]

    row_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)

    for first in range(0, S * S, BLOCK_K):
        n = first + tl.arange(0, BLOCK_K)
        row, column = top + n // S, left + n % S
        key = (image * H + row) * W + column
        on_grid = (row < H) & (column < W)
        key_ok = (n < S * S)[:, None] & dim_ok
        own = qkv_ptr + key[:, None] * 3 * C + dims[None, :]
        token_ptrs = tl.where(on_grid[:, None], own, bias_ptr + dims[None, :])
        k = tl.load(token_ptrs + C + head * D, mask=key_ok, other=0.0)  # [K, D]
        v = tl.load(token_ptrs + 2 * C + head * D, mask=key_ok, other=0.0)  # [K, D]
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale  # [M, K]
        scores = tl.where((n < S * S)[None, :], scores, float("-inf"))

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        rescale = tl.exp(row_max - new_max)
        weights = tl.exp(scores - new_max[:, None])
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        row_max = new_max

    out_ptrs = out_ptr + query[:, None] * C + head * D + dims[None, :]
    tl.store(out_ptrs, acc / row_sum[:, None], mask=query_ok[:, None] & dim_ok)


def window_attention(qkv: Tensor, qkv_bias: Tensor, num_heads: int, window_size: int) -> Tensor:
    """qkv [B, H, W, 3·C] of the tokens there are, qkv_bias [3·C] -> [B, H, W, C]; no relative positions."""
    B, H, W, channels = qkv.shape
    S, C = window_size, channels // 3
    D = C // num_heads
    out = torch.empty((B, H, W, C), dtype=qkv.dtype, device=qkv.device)
    blocks = {"BLOCK_M": 64, "BLOCK_K": 64, "BLOCK_D": max(16, triton.next_power_of_2(D))}
    grid = (B * triton.cdiv(H, S) * triton.cdiv(W, S), num_heads, triton.cdiv(S * S, 64))
    window_attention_kernel[grid](qkv, qkv_bias, out, D**-0.5, H, W, S, D, **blocks)
    return out


@triton.jit
def join_kernel(windows_ptr, grid_ptr, H, W, C, S, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr):
    """One program owns one window and writes those of its S·S tokens that are on the grid back to their places."""
    window = tl.program_id(0)
    down, across = tl.cdiv(H, S), tl.cdiv(W, S)
    image = (window // (down * across)).to(tl.int64)
    top, left = window // across % down * S, window % across * S
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

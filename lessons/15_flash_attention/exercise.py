"""Lesson 15: write the step, two pieces and the kernel, mend the last. `minisam lesson check 15 FILE` judges them."""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor


def add_tile(state: np.ndarray, scores: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What M queries know so far, and one more tile of K keys -> what they know then.

    state [M, 2 + D]: column 0 the maximum m of the scores so far, column 1 the sum l of exp(score - m), and the
    other D the sum of exp(score - m) · value. scores [M, K] and v [K, D] belong to the new tile.
    """
    raise NotImplementedError


@triton.jit
def load_tile(x_ptr, head, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """From row `start` on, BLOCK rows of one head of x [heads, rows, D] -> [BLOCK, BLOCK_D], 0 where x has nothing."""


@triton.jit
def tile_kernel(x_ptr, tiles_ptr, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """One program stores what load_tile returns for one head."""
    head = tl.program_id(0)
    lanes = (head * BLOCK + tl.arange(0, BLOCK))[:, None] * BLOCK_D + tl.arange(0, BLOCK_D)[None, :]
    tl.store(tiles_ptr + lanes, load_tile(x_ptr, head, start, rows, D, BLOCK, BLOCK_D))


def read_tile(x: Tensor, start: int) -> Tensor:
    """x [heads, rows, D] -> a tile of 16 rows of each head, [heads, 16, BLOCK_D]."""
    raise NotImplementedError  # write load_tile, then take this line away
    heads, rows, D = x.shape
    width = max(16, triton.next_power_of_2(D))
    tiles = x.new_empty(heads, 16, width)
    tile_kernel[(heads,)](x, tiles, start, rows, D, BLOCK=16, BLOCK_D=width)
    return tiles


@triton.jit
def score_tile(q, k, start, S, scale, BLOCK: tl.constexpr):
    """q [M, D], k [BLOCK, D]: keys from `start` on, of S in all -> scale · q kᵀ [M, BLOCK], -inf from key S on."""


@triton.jit
def tile_weights_kernel(
    q_ptr, k_ptr, weights_ptr, start, S, scale, BLOCK: tl.constexpr, D: tl.constexpr
):  # fmt: skip
    """One program stores exp(score - maximum) for 16 queries and the tile that begins with key `start`."""
    queries, keys, dims = tl.arange(0, 16), start + tl.arange(0, BLOCK), tl.arange(0, D)
    q = tl.load(q_ptr + queries[:, None] * D + dims[None, :])
    k = tl.load(k_ptr + keys[:, None] * D + dims[None, :], mask=(keys < S)[:, None], other=0.0)
    scores = score_tile(q, k, start, S, scale, BLOCK)
    lanes = queries[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    tl.store(weights_ptr + lanes, tl.exp(scores - tl.max(scores, axis=1)[:, None]))


def tile_weights(q: Tensor, k: Tensor, scale: float, start: int) -> Tensor:
    """q [16, D], k [S, D], D = 16 or 32 -> exp(score - maximum) for the 16 keys from `start` on, [16, 16]."""
    raise NotImplementedError  # write score_tile, then take this line away
    weights = q.new_empty(16, 16)
    tile_weights_kernel[(1,)](q, k, weights, start, len(k), scale, BLOCK=16, D=q.shape[1])
    return weights


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, scale, L, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and meets its S keys, BLOCK_K at a time."""


def flash_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale · q kᵀ) v for contiguous q [B, N, L, D] and k, v [B, N, S, D]; returns [B, N, L, D]."""
    raise NotImplementedError


@triton.jit
def wide_softmax_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers and walks along it twice. There is a bug in it."""
    row = tl.program_id(0).to(tl.int64)
    row_max = float("-inf")
    row_sum = 0.0
    for start in range(0, N, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf"))
        new_max = tl.max(x, axis=0)
        row_sum = row_sum * tl.exp(row_max - new_max) + tl.sum(tl.exp(x - new_max), axis=0)
        row_max = new_max
    for start in range(0, N, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=0.0)
        tl.store(y_ptr + row * N + columns, tl.exp(x - row_max) / row_sum, mask=columns < N)


def wide_softmax(x: Tensor) -> Tensor:
    """softmax of every row of x [R, N], for rows of any length."""
    y = torch.empty_like(x)
    wide_softmax_kernel[(len(x),)](x, y, x.shape[1], BLOCK=64)
    return y

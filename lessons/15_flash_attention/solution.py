"""Solutions of lesson 15."""

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
    row_max, row_sum, acc = state[:, :1], state[:, 1:2], state[:, 2:]
    new_max = np.maximum(row_max, scores.max(axis=1, keepdims=True))
    rescale = np.exp(row_max - new_max)
    weights = np.exp(scores - new_max)
    new_sum = row_sum * rescale + weights.sum(axis=1, keepdims=True)
    new_acc = acc * rescale + weights @ v
    return np.concatenate([new_max, new_sum, new_acc], axis=1)


@triton.jit
def load_tile(x_ptr, head, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """From row `start` on, BLOCK rows of one head of x [heads, rows, D] -> [BLOCK, BLOCK_D], 0 where x has nothing."""
    row, dim = start + tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)
    place = (head.to(tl.int64) * rows + row)[:, None] * D + dim[None, :]
    return tl.load(x_ptr + place, mask=(row < rows)[:, None] & (dim < D)[None, :], other=0.0)


@triton.jit
def tile_kernel(x_ptr, tiles_ptr, start, rows, D, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """One program stores what load_tile returns for one head."""
    head = tl.program_id(0)
    lanes = (head * BLOCK + tl.arange(0, BLOCK))[:, None] * BLOCK_D + tl.arange(0, BLOCK_D)[None, :]
    tl.store(tiles_ptr + lanes, load_tile(x_ptr, head, start, rows, D, BLOCK, BLOCK_D))


def read_tile(x: Tensor, start: int) -> Tensor:
    """x [heads, rows, D] -> a tile of 16 rows of each head, [heads, 16, BLOCK_D]."""
    heads, rows, D = x.shape
    width = max(16, triton.next_power_of_2(D))
    tiles = x.new_empty(heads, 16, width)
    tile_kernel[(heads,)](x, tiles, start, rows, D, BLOCK=16, BLOCK_D=width)
    return tiles


@triton.jit
def score_tile(q, k, start, S, scale, BLOCK: tl.constexpr):
    """q [M, D], k [BLOCK, D]: keys from `start` on, of S in all -> scale · q kᵀ [M, BLOCK], -inf from key S on."""
    products = tl.dot(q, tl.trans(k), input_precision="ieee")
    exists = start + tl.arange(0, BLOCK) < S
    return tl.where(exists[None, :], products * scale, float("-inf"))


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
    weights = q.new_empty(16, 16)
    tile_weights_kernel[(1,)](q, k, weights, start, len(k), scale, BLOCK=16, D=q.shape[1])
    return weights


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, scale, L, S, D,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and meets its S keys, BLOCK_K at a time."""
    head = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    dims = tl.arange(0, BLOCK_D)
    own = (head * L + rows)[:, None] * D + dims[None, :]
    own_ok = (rows < L)[:, None] & (dims < D)[None, :]
    q = tl.load(q_ptr + own, mask=own_ok, other=0.0)  # [M, D]

    row_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)

    for start in range(0, S, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        tile = (head * S + columns)[:, None] * D + dims[None, :]
        tile_ok = (columns < S)[:, None] & (dims < D)[None, :]
        k = tl.load(k_ptr + tile, mask=tile_ok, other=0.0)  # [K, D]
        v = tl.load(v_ptr + tile, mask=tile_ok, other=0.0)  # [K, D]
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale  # [M, K]
        scores = tl.where((columns < S)[None, :], scores, float("-inf"))

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        rescale = tl.exp(row_max - new_max)
        weights = tl.exp(scores - new_max[:, None])
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        row_max = new_max

    tl.store(out_ptr + own, acc / row_sum[:, None], mask=own_ok)


def flash_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale · q kᵀ) v for contiguous q [B, N, L, D] and k, v [B, N, S, D]; returns [B, N, L, D]."""
    B, N, L, D = q.shape
    out = torch.empty_like(q)
    block_d = max(16, triton.next_power_of_2(D))
    grid = (triton.cdiv(L, 64), B * N)
    attention_kernel[grid](
        q, k, v, out, scale, L, k.shape[2], D, BLOCK_M=64, BLOCK_K=32, BLOCK_D=block_d
    )  # fmt: skip
    return out


@triton.jit
def wide_softmax_kernel(x_ptr, y_ptr, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers and walks along it twice, BLOCK numbers at a time."""
    row = tl.program_id(0).to(tl.int64)
    row_max = float("-inf")
    row_sum = 0.0
    for start in range(0, N, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf"))
        new_max = tl.maximum(row_max, tl.max(x, axis=0))
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

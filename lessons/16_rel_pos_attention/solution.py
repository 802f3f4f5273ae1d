"""Solutions of lesson 16."""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2E = 1.4426950408889634  # e^x = 2^(x · LOG2E)


def add_grid_row(
    state: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    rel_h: np.ndarray,
    rel_w: np.ndarray,
    scale: float,
) -> np.ndarray:
    """What M queries know so far, and the W keys of one more row of the grid -> what they know then.

    state [M, 2 + D]: column 0 the maximum so far of score · LOG2E, column 1 the sum of the weights, the other D the
    weighted sum of the values. q [M, D]; k and v [W, D]; rel_h [M] is what each query adds to all keys of this row,
    rel_w [M, W] what it adds to each column.
    """
    row_max, row_sum, acc = state[:, :1], state[:, 1:2], state[:, 2:]
    row_bias = rel_h[:, None] * LOG2E
    scores = (q @ k.T) * (scale * LOG2E) + rel_w * LOG2E
    new_max = np.maximum(row_max, scores.max(axis=1, keepdims=True) + row_bias)
    weights = np.exp2(scores - (new_max - row_bias))
    rescale = np.exp2(row_max - new_max)
    new_sum = row_sum * rescale + weights.sum(axis=1, keepdims=True)
    new_acc = acc * rescale + weights @ v
    return np.concatenate([new_max, new_sum, new_acc], axis=1)


@triton.jit
def load_column_bias(
    rel_w_ptr, head, start, L, W, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """rel_w [heads, L, W] of BLOCK_M queries from `start` on, in base 2: [BLOCK_M, BLOCK_K], -inf from column W on."""
    query, column = start + tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_K)
    place = (head.to(tl.int64) * L + query)[:, None] * W + column[None, :]
    bias = tl.load(rel_w_ptr + place, mask=(query < L)[:, None] & (column < W)[None, :], other=0.0)
    return tl.where(column[None, :] < W, bias * LOG2E, float("-inf"))


@triton.jit
def column_kernel(
    rel_w_ptr, factors_ptr, start, L, W, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """One program stores 2 to the power of load_column_bias, for one head."""
    head = tl.program_id(0)
    lanes = (head * BLOCK_M + tl.arange(0, BLOCK_M))[:, None] * BLOCK_K + tl.arange(0, BLOCK_K)[None, :]
    bias = load_column_bias(rel_w_ptr, head, start, L, W, LOG2E, BLOCK_M, BLOCK_K)
    tl.store(factors_ptr + lanes, tl.exp2(bias))


def column_factors(rel_w: Tensor, start: int) -> Tensor:
    """rel_w [heads, L, W] -> e^rel_w of 16 queries of each head, [heads, 16, BLOCK_K], 0 where there is no column."""
    heads, L, W = rel_w.shape
    block_k = max(16, triton.next_power_of_2(W))
    factors = rel_w.new_empty(heads, 16, block_k)
    column_kernel[(heads,)](rel_w, factors, start, L, W, LOG2E, BLOCK_M=16, BLOCK_K=block_k)
    return factors


@triton.jit
def load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """rel_h [heads, L, H] of BLOCK_M queries from `start` on, for keys of grid row i, in base 2: [BLOCK_M]."""
    query = start + tl.arange(0, BLOCK_M)
    first = (head.to(tl.int64) * L + query) * H
    return tl.load(rel_h_ptr + first + i, mask=query < L, other=0.0) * LOG2E


@triton.jit
def row_kernel(rel_h_ptr, biases_ptr, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """One program stores load_row_bias of one head."""
    head = tl.program_id(0)
    bias = load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E, BLOCK_M)
    tl.store(biases_ptr + head * BLOCK_M + tl.arange(0, BLOCK_M), bias)


def row_biases(rel_h: Tensor, start: int, i: int) -> Tensor:
    """rel_h [heads, L, H] -> rel_h · LOG2E of 16 queries of each head for grid row i, [heads, 16], 0 beyond L."""
    heads, L, H = rel_h.shape
    biases = rel_h.new_empty(heads, 16)
    row_kernel[(heads,)](rel_h, biases, start, i, L, H, LOG2E, BLOCK_M=16)
    return biases


@triton.jit
def rel_pos_attention_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, scale, H, W, D, LOG2E: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and meets the keys one grid row after the other; BLOCK_K >= W."""
    L = H * W
    head = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    columns = tl.arange(0, BLOCK_K)
    column_ok = columns < W
    dims = tl.arange(0, BLOCK_D)
    own = (head * L + rows)[:, None] * D + dims[None, :]
    own_ok = row_ok[:, None] & (dims < D)[None, :]
    q = tl.load(q_ptr + own, mask=own_ok, other=0.0)  # [M, D]

    rel_w_tile = (head * L + rows)[:, None] * W + columns[None, :]
    rel_w = tl.load(rel_w_ptr + rel_w_tile, mask=row_ok[:, None] & column_ok[None, :], other=0.0)  # [M, K]
    column_bias = tl.where(column_ok[None, :], rel_w.to(tl.float32) * LOG2E, float("-inf"))

    row_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)

    for i in range(0, H):
        rel_h = tl.load(rel_h_ptr + (head * L + rows) * H + i, mask=row_ok, other=0.0)  # [M]
        row_bias = rel_h.to(tl.float32) * LOG2E
        tile = (head * L + i * W + columns)[:, None] * D + dims[None, :]
        tile_ok = column_ok[:, None] & (dims < D)[None, :]
        k = tl.load(k_ptr + tile, mask=tile_ok, other=0.0)  # [K, D]
        v = tl.load(v_ptr + tile, mask=tile_ok, other=0.0)  # [K, D]
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scale * LOG2E) + column_bias  # [M, K]

        new_max = tl.maximum(row_max, tl.max(scores, axis=1) + row_bias)
        weights = tl.exp2(scores - (new_max - row_bias)[:, None])
        rescale = tl.exp2(row_max - new_max)
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        row_max = new_max

    tl.store(out_ptr + own, acc / row_sum[:, None], mask=own_ok)


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_h [B, N, H·W, H], rel_w [B, N, H·W, W], contiguous -> [B, N, H·W, D]."""
    B, N, L, D = q.shape
    H, W = rel_h.shape[3], rel_w.shape[3]
    out = torch.empty_like(q)
    blocks = {
        "BLOCK_M": 64,
        "BLOCK_K": max(16, triton.next_power_of_2(W)),
        "BLOCK_D": max(16, triton.next_power_of_2(D)),
    }
    grid = (triton.cdiv(L, 64), B * N)
    rel_pos_attention_kernel[grid](q, k, v, rel_h, rel_w, out, scale, H, W, D, LOG2E, **blocks)
    return out


@triton.jit
def weights_kernel(
    products_ptr, rel_h_ptr, rel_w_ptr, weights_ptr, scale, H, W, LOG2E: tl.constexpr, BLOCK: tl.constexpr
):
    """One program owns one query's weights for all H·W keys."""
    query = tl.program_id(0).to(tl.int64)
    key = tl.arange(0, BLOCK)
    inside = key < H * W
    product = tl.load(products_ptr + query * H * W + key, mask=inside, other=0.0)
    rel_h = tl.load(rel_h_ptr + query * H + key // W, mask=inside, other=0.0)
    rel_w = tl.load(rel_w_ptr + query * W + key % W, mask=inside, other=0.0)
    score = product * (scale * LOG2E) + (rel_h + rel_w) * LOG2E
    score = tl.where(inside, score, float("-inf"))
    weight = tl.exp2(score - tl.max(score, axis=0))
    tl.store(weights_ptr + query * H * W + key, weight / tl.sum(weight, axis=0), mask=inside)


def attention_weights(products: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """The products q kᵀ [R, H·W] of R queries, rel_h [R, H], rel_w [R, W] -> their weights [R, H·W]."""
    (R, H), W = rel_h.shape, rel_w.shape[1]
    weights = torch.empty_like(products)
    block = triton.next_power_of_2(H * W)
    weights_kernel[(R,)](products, rel_h, rel_w, weights, scale, H, W, LOG2E, BLOCK=block)
    return weights

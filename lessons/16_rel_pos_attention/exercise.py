"""Lesson 16: write the step and the kernel, mend the third. `minisam lesson check 16 FILE` judges them."""

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
    raise NotImplementedError


@triton.jit
def load_column_bias(
    rel_w_ptr, head, start, L, W, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """rel_w [heads, L, W] of BLOCK_M queries from `start` on, in base 2: [BLOCK_M, BLOCK_K], -inf from column W on."""


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
    raise NotImplementedError  # write load_column_bias, then take this line away
    heads, L, W = rel_w.shape
    block_k = max(16, triton.next_power_of_2(W))
    factors = rel_w.new_empty(heads, 16, block_k)
    column_kernel[(heads,)](rel_w, factors, start, L, W, LOG2E, BLOCK_M=16, BLOCK_K=block_k)
    return factors


@triton.jit
def load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """rel_h [heads, L, H] of BLOCK_M queries from `start` on, for keys of grid row i, in base 2: [BLOCK_M]."""


@triton.jit
def row_kernel(rel_h_ptr, biases_ptr, start, i, L, H, LOG2E: tl.constexpr, BLOCK_M: tl.constexpr):
    """One program stores load_row_bias of one head."""
    head = tl.program_id(0)
    bias = load_row_bias(rel_h_ptr, head, start, i, L, H, LOG2E, BLOCK_M)
    tl.store(biases_ptr + head * BLOCK_M + tl.arange(0, BLOCK_M), bias)


def row_biases(rel_h: Tensor, start: int, i: int) -> Tensor:
    """rel_h [heads, L, H] -> rel_h · LOG2E of 16 queries of each head for grid row i, [heads, 16], 0 beyond L."""
    raise NotImplementedError  # write load_row_bias, then take this line away
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


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_h [B, N, H·W, H], rel_w [B, N, H·W, W], contiguous -> [B, N, H·W, D]."""
    raise NotImplementedError


@triton.jit
def weights_kernel(
    products_ptr, rel_h_ptr, rel_w_ptr, weights_ptr, scale, H, W, LOG2E: tl.constexpr, BLOCK: tl.constexpr
):
    """One program owns one query's weights for all H·W keys. There is a bug in it."""
    query = tl.program_id(0).to(tl.int64)
    key = tl.arange(0, BLOCK)
    inside = key < H * W
    product = tl.load(products_ptr + query * H * W + key, mask=inside, other=0.0)
    rel_h = tl.load(rel_h_ptr + query * H + key // W, mask=inside, other=0.0)
    rel_w = tl.load(rel_w_ptr + query * W + key % W, mask=inside, other=0.0)
    score = product * (scale * LOG2E) + (rel_h + rel_w)
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

"""Lesson 15: write the step and the kernel, mend the third. `minisam lesson check 15 FILE` judges them."""

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

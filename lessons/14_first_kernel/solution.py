"""Solutions of lesson 14."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def softmax_kernel(x_ptr, y_ptr, scale, N, BLOCK: tl.constexpr):
    """One program owns one row of N numbers; BLOCK is a power of two and at least N."""
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < N
    x = tl.load(x_ptr + row * N + columns, mask=inside, other=float("-inf")) * scale
    row_max = tl.max(x, axis=0)
    exponentials = tl.exp(x - row_max)
    row_sum = tl.sum(exponentials, axis=0)
    tl.store(y_ptr + row * N + columns, exponentials / row_sum, mask=inside)


def softmax_rows(x: Tensor, scale: float) -> Tensor:
    """softmax(scale * x) of every row of x [R, N]: make the output, launch softmax_kernel, return it."""
    R, N = x.shape
    y = torch.empty_like(x)
    softmax_kernel[(R,)](x, y, scale, N, BLOCK=triton.next_power_of_2(N))
    return y


@triton.jit
def add_bias_kernel(scores_ptr, rel_h_ptr, rel_w_ptr, out_ptr, H, W, BLOCK: tl.constexpr):
    """One program owns BLOCK key tokens of one row of scores."""
    row, block = tl.program_id(0), tl.program_id(1)
    token = block * BLOCK + tl.arange(0, BLOCK)
    inside = token < H * W
    key_row = token // W
    key_column = token % W
    score = tl.load(scores_ptr + row * H * W + token, mask=inside, other=0.0)
    bias_h = tl.load(rel_h_ptr + row * H + key_row, mask=inside, other=0.0)
    bias_w = tl.load(rel_w_ptr + row * W + key_column, mask=inside, other=0.0)
    tl.store(out_ptr + row * H * W + token, score + bias_h + bias_w, mask=inside)


def add_bias(scores: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """scores [R, H·W], rel_h [R, H], rel_w [R, W] -> scores with the bias of every key token added."""
    (R, H), W = rel_h.shape, rel_w.shape[1]
    out = torch.empty_like(scores)
    add_bias_kernel[(R, triton.cdiv(H * W, 16))](scores, rel_h, rel_w, out, H, W, BLOCK=16)
    return out

"""Small kernels whose behaviour is plain to see, for the tests of the lab."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _double_kernel(x_ptr, out_ptr, N, BLOCK: tl.constexpr):
    """One program owns BLOCK neighbouring numbers."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + place, mask=place < N, other=0.0)
    tl.store(out_ptr + place, x + x, mask=place < N)


def double(x: Tensor, block: int = 16) -> Tensor:
    """x + x; x is contiguous."""
    out = torch.empty_like(x)
    _double_kernel[(triton.cdiv(x.numel(), block),)](x, out, x.numel(), BLOCK=block)
    return out


@triton.jit
def _product_kernel(a_ptr, b_ptr, out_ptr, K, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr):
    """One program owns the whole [BLOCK, BLOCK] product of a [BLOCK, K] and b [K, BLOCK]."""
    side = tl.arange(0, BLOCK)
    inner = tl.arange(0, BLOCK_K)
    acc = tl.zeros([BLOCK, BLOCK], tl.float32)
    for start in range(0, K, BLOCK_K):
        a = tl.load(a_ptr + side[:, None] * K + start + inner[None, :])  # [BLOCK, BLOCK_K]
        b = tl.load(b_ptr + (start + inner[:, None]) * BLOCK + side[None, :])  # [BLOCK_K, BLOCK]
        acc = tl.dot(a, b, acc, input_precision="ieee")
    tl.store(out_ptr + side[:, None] * BLOCK + side[None, :], acc.to(out_ptr.dtype.element_ty))


def product(a: Tensor, b: Tensor, block: int = 64, block_k: int = 32) -> Tensor:
    """a [block, K] @ b [K, block], both contiguous, K a multiple of block_k."""
    out = torch.empty((block, block), dtype=a.dtype, device=a.device)
    _product_kernel[(1,)](a, b, out, a.shape[1], BLOCK=block, BLOCK_K=block_k, num_warps=4, num_stages=2)
    return out

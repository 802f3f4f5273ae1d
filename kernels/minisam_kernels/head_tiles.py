"""A head of any width as two tiles whose widths are powers of two, as Triton requires.

    D = 80 = 64 + 16:     q kᵀ = q[:, :64] k[:, :64]ᵀ + q[:, 64:] k[:, 64:]ᵀ
                          p v  = p v[:, :64]  next to  p v[:, 64:]

One tile of 128 would need 1.6 times the products and 1.6 times the registers of these two. A head whose width is a
power of two has no tail: TAIL_D is 0, and the code for the tail is not compiled.

B batch   N heads   L tokens   D head dim, at most BLOCK_D + TAIL_D   M rows of one tile   K rows of another
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None] or an annotated constexpr.

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

SMALLEST_TILE = 16  # the tensor cores' smallest tile along one axis


def head_tiles(head_dim: int) -> dict[str, int]:
    """The two widths, as keyword arguments of a kernel: 80 is 64 and 16, 64 is 64 and 0."""
    main = 1 << (head_dim.bit_length() - 1)
    rest = head_dim - main
    tail = max(SMALLEST_TILE, triton.next_power_of_2(rest)) if rest else 0
    return {"D": head_dim, "BLOCK_D": main, "TAIL_D": tail}


def as_one_projection(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three with equal strides, 1 for the last axis; unchanged if they are slices of one tensor."""
    if q.stride() == k.stride() == v.stride() and q.stride(3) == 1:
        return q, k, v
    return q.contiguous(), k.contiguous(), v.contiguous()


def empty_heads(q: Tensor) -> Tensor:
    """Memory for a result [B, N, L, D] in which the heads of a token are contiguous."""
    B, N, L, D = q.shape
    return q.new_empty(B, L, N, D).transpose(1, 2)


@triton.jit
def load_rows(row_ptrs, row_ok, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr):
    """The D numbers that start at each of M pointers, [M, BLOCK_D] and [M, TAIL_D]; zeros where a row is not ok."""
    main = tl.load(row_ptrs[:, None] + tl.arange(0, BLOCK_D)[None, :], mask=row_ok[:, None], other=0.0)
    tail = main
    if TAIL_D > 0:
        dims = BLOCK_D + tl.arange(0, TAIL_D)
        tail_ok = row_ok[:, None] & (dims < D)[None, :]
        tail = tl.load(row_ptrs[:, None] + dims[None, :], mask=tail_ok, other=0.0)
    return main, tail


@triton.jit
def store_rows(row_ptrs, row_ok, main, tail, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr):
    """The reverse of load_rows, in the type that the pointers point to."""
    dtype = row_ptrs.dtype.scalar.element_ty
    tl.store(row_ptrs[:, None] + tl.arange(0, BLOCK_D)[None, :], main.to(dtype), mask=row_ok[:, None])
    if TAIL_D > 0:
        dims = BLOCK_D + tl.arange(0, TAIL_D)
        tail_ok = row_ok[:, None] & (dims < D)[None, :]
        tl.store(row_ptrs[:, None] + dims[None, :], tail.to(dtype), mask=tail_ok)


@triton.jit
def zero_rows(ROWS: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, ACC: tl.constexpr):
    """Two accumulators of zeros, [ROWS, BLOCK_D] and [ROWS, TAIL_D]."""
    main = tl.zeros([ROWS, BLOCK_D], ACC)
    tail = main
    if TAIL_D > 0:
        tail = tl.zeros([ROWS, TAIL_D], ACC)
    return main, tail


@triton.jit
def dot_rows(a, a_tail, b, b_tail, TAIL_D: tl.constexpr):
    """The dot product of every row of a with every row of b: a bᵀ, [M, K]."""
    product = tl.dot(a, tl.trans(b), input_precision="ieee")
    if TAIL_D > 0:
        product = tl.dot(a_tail, tl.trans(b_tail), product, input_precision="ieee")
    return product


@triton.jit
def add_weighted_rows(acc, acc_tail, weights, b, b_tail, TAIL_D: tl.constexpr):
    """acc + weights b for weights [M, K] and the rows of b; the weights are rounded to b's type."""
    weights = weights.to(b.dtype)
    acc = tl.dot(weights, b, acc, input_precision="ieee")
    if TAIL_D > 0:
        acc_tail = tl.dot(weights, b_tail, acc_tail, input_precision="ieee")
    return acc, acc_tail


@triton.jit
def row_products(a, a_tail, b, b_tail, TAIL_D: tl.constexpr, ACC: tl.constexpr):
    """The dot product of each row of a with the same row of b, [M]."""
    products = tl.sum(a.to(ACC) * b.to(ACC), axis=1)
    if TAIL_D > 0:
        products += tl.sum(a_tail.to(ACC) * b_tail.to(ACC), axis=1)
    return products

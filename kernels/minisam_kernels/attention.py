"""Attention in one pass over the keys, fused: no score ever leaves the chip.

    out = softmax(scale q kᵀ) v

A softmax needs the maximum and the sum of its whole row, but both can be corrected later (online softmax). For the
keys seen so far, keep the maximum m, the sum l of exp(score - m) and the weighted sum a of values. A new block of
keys with maximum m' changes them to

    m_new = max(m, m')      l_new = e^(m - m_new) l + sum e^(score - m_new)      a_new = e^(m - m_new) a + …  v

and at the end out = a / l. Each program streams keys and values past its queries, block by block, and keeps m, l, a
in registers. From a row of S scores, backward needs only one number, the log-sum-exp m + log l.

Bytes     L queries, S keys per head: the scores alone are L S numbers, written and read twice. Here: q, k, v once
          for every block of queries (k and v mostly from the L2 cache), out once, and 4 bytes per query.
Symbols   B batch   N heads   L queries   S keys   D head dim   M queries and K keys of one tile
Ladder    reference/attention.py -> minisam/model/attention.py -> softmax.py -> here -> attention_backward.py
          -> cross_attention.py, rel_pos_attention.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.attention_backward import attention_backward
from minisam_kernels.head_tiles import (
    add_weighted_rows,
    dot_rows,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import (
    Launch,
    check_head_dim,
    check_shape,
    check_tensors,
    chosen,
    joined,
    pieces,
)

LAUNCHES = {
    "half": Launch(block_m=128, block_k=64, num_warps=8, num_stages=2),
    "single": Launch(block_m=32, block_k=32, num_warps=4, num_stages=2),
}


@triton.jit
def _attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and streams every key past them."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head = tl.program_id(1).to(tl.int64)  # counted over all batches
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L

    q, q_tail = load_rows(q_ptr + (head * L + rows) * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    for start in range(0, S, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < S
        k, k_tail = load_rows(k_ptr + (head * S + columns) * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        v, v_tail = load_rows(v_ptr + (head * S + columns) * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * scale  # [M, K]
        scores = tl.where(column_ok[None, :], scores, float("-inf"))

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        weights = tl.exp(scores - new_max[:, None])
        rescale = tl.exp(row_max - new_max)
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None]
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None]
        acc, acc_tail = add_weighted_rows(acc, acc_tail, weights, v, v_tail, TAIL_D)
        row_max = new_max

    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + (head * L + rows) * D, row_ok, out, out_tail, D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + head * L + rows, row_max + tl.log(row_sum), mask=row_ok)


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, *, launch: str | None = None) -> Tensor:
    """softmax(scale q kᵀ) v for q [B, N, L, D] and k, v [B, N, S, D], D in 16, 24, 32, … 128; returns [B, N, L, D].

    `launch` is one of LAUNCHES, by default the one made for q's type. Raises ValueError where there is no kernel.
    """
    check_tensors("attention", q=q, k=k, v=v)
    check_key_shapes("attention", q, k, v)
    return _attention(q, k, v, float(scale), launch or launch_for(q.dtype))[0]


def check_key_shapes(operation: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raises ValueError unless q is [B, N, L, D], k and v are [B, N, S, D], S is not 0 and D has a kernel."""
    if q.ndim != 4 or k.ndim != 4:
        raise ValueError(
            f"{operation}: q, k and v must be [B, N, tokens, D], got {list(q.shape)} and {list(k.shape)}"
        )
    B, N, _, D = q.shape
    S = k.shape[2]
    check_head_dim(operation, D)
    check_shape(operation, "k", k, (B, N, S, D))
    check_shape(operation, "v", v, (B, N, S, D))
    if S == 0:
        raise ValueError(
            f"{operation}: there are no keys, and a mean of no values is not defined; pass one at least"
        )


def launch_for(dtype: torch.dtype) -> str:
    """Tensor cores multiply 16-bit numbers; wider types take more registers and need smaller blocks."""
    return "half" if dtype.itemsize == 2 else "single"


@torch.library.custom_op(
    "minisam::attention",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, float scale, str launch) -> (Tensor, Tensor)",
)
def _attention(q: Tensor, k: Tensor, v: Tensor, scale: float, launch: str) -> tuple[Tensor, Tensor]:
    choice = chosen(LAUNCHES, launch)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    B, N, L, D = q.shape
    S = k.shape[2]
    if parts := pieces(B, N):
        out, lse = joined(_attention(q[own], k[own], v[own], scale, launch) for own in parts)
        return out, lse
    out = torch.empty_like(q)
    lse = torch.empty((B, N, L), dtype=sum_type(q.dtype), device=q.device)
    if out.numel():
        grid = (triton.cdiv(L, choice.block_m), B * N)
        _attention_kernel[grid](q, k, v, out, lse, scale, L, S, **head_tiles(D), **choice.options())
    return out, lse


def sum_type(dtype: torch.dtype) -> torch.dtype:
    """The type of sums: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, scale: float, launch: str) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=sum_type(q.dtype))


def _keep(ctx, inputs: tuple[Tensor, Tensor, Tensor, float, str], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, ctx.scale, ctx.launch = inputs
    ctx.save_for_backward(q, k, v, *output)


def _backward(ctx, grad_out: Tensor, _grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, out, lse = ctx.saved_tensors
    grads = attention_backward(q, k, v, out, lse, grad_out, ctx.scale, ctx.launch)
    return *grads, None, None


_attention.register_autograd(_backward, setup_context=_keep)

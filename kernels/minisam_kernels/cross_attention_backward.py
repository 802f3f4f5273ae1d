"""The gradients of cross-attention: those of attention, with each long sum split into parts that run in parallel.

    P = exp(scale q kᵀ - lse)         dV = Pᵀ dO            dP = dO Vᵀ
    dS = P (dP - delta)               dQ = scale dS K       dK = scale dSᵀ Q

dQ sums over keys. With many keys and few queries, each program takes one part of the keys, and its dQ is one part of
the sum. dK and dV sum over queries and are split in the same way if queries are many and keys few. A last kernel adds
the parts in a fixed order; the gradients have the same bits in every run.

Symbols   B batch   N heads   L queries   S keys   D head dim   P parts   M queries and K keys of one tile
Ladder    attention_backward.py -> cross_attention.py -> here
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.head_tiles import (
    add_weighted_rows,
    dot_rows,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, chosen, joined, pieces

FEW = 64
NARROW = 32
TOKENS_PER_PART = 256
ADDED_PER_PROGRAM = 1024
# Queries per program and keys per step; in the second kernel the other way round.
QUERY_LAUNCHES = {
    "few, half": Launch(block_m=16, block_k=64, num_warps=4, num_stages=2),
    "few, single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
    "many, half": Launch(block_m=64, block_k=16, num_warps=4, num_stages=2),
    "many, single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
}
NARROW_HEADS = QUERY_LAUNCHES | {"few, half": Launch(block_m=16, block_k=64, num_warps=1, num_stages=2)}
KEY_LAUNCHES = {
    "few, half": Launch(block_m=16, block_k=64, num_warps=4, num_stages=2),
    "few, single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
    "many, half": Launch(block_m=32, block_k=16, num_warps=4, num_stages=2),
    "many, single": Launch(block_m=32, block_k=16, num_warps=8, num_stages=1),
}


@triton.jit
def _cross_attention_query_gradient_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, grad_out_ptr, grad_q_ptr, delta_ptr, scale, B, L, S, keys_per_part,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns the contribution of one part of the keys to dQ of BLOCK_M queries of one head."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    part, batch = tl.program_id(2) // B, (tl.program_id(2) % B).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    own = (batch * L + rows) * num_heads + head

    q, q_tail = load_rows(q_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    out, out_tail = load_rows(out_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    grad_out, grad_out_tail = load_rows(grad_out_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    lse = tl.load(lse_ptr + own, mask=row_ok, other=0.0)  # [M]
    delta = tl.sum(out.to(ACC) * grad_out.to(ACC), axis=1)  # [M]
    if TAIL_D > 0:
        delta += tl.sum(out_tail.to(ACC) * grad_out_tail.to(ACC), axis=1)
    grad_q, grad_q_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    first = part * keys_per_part
    last = tl.minimum(first + keys_per_part, S)
    for start in range(first, last, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < last
        keys = ((batch * S + columns) * num_heads + head) * D
        k, k_tail = load_rows(k_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        v, v_tail = load_rows(v_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * scale  # [M, K]
        scores = tl.where(column_ok[None, :], scores, float("-inf"))
        weights = tl.exp(scores - lse[:, None])
        grad_weights = dot_rows(grad_out, grad_out_tail, v, v_tail, TAIL_D)  # [M, K]
        grad_scores = weights * (grad_weights - delta[:, None])
        grad_q, grad_q_tail = add_weighted_rows(grad_q, grad_q_tail, grad_scores, k, k_tail, TAIL_D)

    of_part = (own + part.to(tl.int64) * B * L * num_heads) * D
    store_rows(grad_q_ptr + of_part, row_ok, grad_q * scale, grad_q_tail * scale, D, BLOCK_D, TAIL_D)
    if part == 0:
        tl.store(delta_ptr + own, delta, mask=row_ok)


@triton.jit
def _cross_attention_key_gradient_kernel(
    q_ptr, k_ptr, v_ptr, lse_ptr, delta_ptr, grad_out_ptr, grad_k_ptr, grad_v_ptr, scale, B, L, S, rows_per_part,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns the contribution of one part of the queries to dK and dV of BLOCK_K keys of one head."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    part, batch = tl.program_id(2) // B, (tl.program_id(2) % B).to(tl.int64)
    columns = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    column_ok = columns < S
    own = (batch * S + columns) * num_heads + head

    k, k_tail = load_rows(k_ptr + own * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    v, v_tail = load_rows(v_ptr + own * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    grad_k, grad_k_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]
    grad_v, grad_v_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]

    # Queries past the last one have dO = 0 and lse = 0: their weights are multiplied by zeros.
    first = part * rows_per_part
    last = tl.minimum(first + rows_per_part, L)
    for start in range(first, last, BLOCK_M):
        rows = start + tl.arange(0, BLOCK_M)
        row_ok = rows < last
        asked = (batch * L + rows) * num_heads + head
        q, q_tail = load_rows(q_ptr + asked * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        grad_out, grad_out_tail = load_rows(grad_out_ptr + asked * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        lse = tl.load(lse_ptr + asked, mask=row_ok, other=0.0)  # [M]
        delta = tl.load(delta_ptr + asked, mask=row_ok, other=0.0)  # [M]

        scores = dot_rows(k, k_tail, q, q_tail, TAIL_D) * scale  # [K, M]
        scores = tl.where(column_ok[:, None], scores, float("-inf"))
        weights = tl.exp(scores - lse[None, :])
        grad_v, grad_v_tail = add_weighted_rows(grad_v, grad_v_tail, weights, grad_out, grad_out_tail, TAIL_D)
        grad_weights = dot_rows(v, v_tail, grad_out, grad_out_tail, TAIL_D)  # [K, M]
        grad_scores = weights * (grad_weights - delta[None, :])
        grad_k, grad_k_tail = add_weighted_rows(grad_k, grad_k_tail, grad_scores, q, q_tail, TAIL_D)

    of_part = (own + part.to(tl.int64) * B * S * num_heads) * D
    store_rows(grad_k_ptr + of_part, column_ok, grad_k * scale, grad_k_tail * scale, D, BLOCK_D, TAIL_D)
    store_rows(grad_v_ptr + of_part, column_ok, grad_v, grad_v_tail, D, BLOCK_D, TAIL_D)


@triton.jit
def _add_parts_kernel(parts_ptr, sum_ptr, P, numel, BLOCK: tl.constexpr):
    """One program owns BLOCK numbers of a sum and adds up the P parts of each, first to last."""
    own = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = own < numel
    total = tl.zeros([BLOCK], parts_ptr.dtype.element_ty)
    of_part = own
    for _ in range(P):
        total += tl.load(parts_ptr + of_part, mask=inside, other=0.0)
        of_part += numel
    tl.store(sum_ptr + own, total.to(sum_ptr.dtype.element_ty), mask=inside)


def tokens_per_part(tokens: int, asked_by: int) -> int:
    """How many tokens one program sums over: all of them, unless there are only a few results."""
    return TOKENS_PER_PART if asked_by <= FEW else tokens


@torch.library.custom_op(
    "minisam::cross_attention_backward",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor grad_out, float scale, str launch)"
    " -> (Tensor, Tensor, Tensor)",
)
def cross_attention_backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor, Tensor]:
    """dQ, dK and dV, each as large as q [B, L, N, D], k and v [B, S, N, D], from what cross_attention saved."""
    q, k, v, grad_out = q.contiguous(), k.contiguous(), v.contiguous(), grad_out.contiguous()
    B, L, N, D = q.shape
    by_query = chosen(NARROW_HEADS if D < NARROW else QUERY_LAUNCHES, launch)
    by_key = chosen(KEY_LAUNCHES, launch)
    S = k.shape[1]
    if B * L * N == 0:
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)

    keys_per_part, rows_per_part = tokens_per_part(S, asked_by=L), tokens_per_part(L, asked_by=S)
    key_parts, row_parts = triton.cdiv(S, keys_per_part), triton.cdiv(L, rows_per_part)
    if several := pieces(B, max(key_parts, row_parts)):
        of_part = ((x[own] for x in (q, k, v, out, lse, grad_out)) for own in several)
        grad_q, grad_k, grad_v = joined(cross_attention_backward(*one, scale, launch) for one in of_part)
        return grad_q, grad_k, grad_v
    delta = torch.empty_like(lse)
    grad_q = _empty_parts(q, key_parts, lse.dtype)
    grad_k, grad_v = _empty_parts(k, row_parts, lse.dtype), _empty_parts(v, row_parts, lse.dtype)
    _cross_attention_query_gradient_kernel[(triton.cdiv(L, by_query.block_m), N, key_parts * B)](
        q, k, v, out, lse, grad_out, grad_q, delta, scale, B, L, S, keys_per_part,
        **head_tiles(D), **by_query.options(),
    )  # fmt: skip
    _cross_attention_key_gradient_kernel[(triton.cdiv(S, by_key.block_k), N, row_parts * B)](
        q, k, v, lse, delta, grad_out, grad_k, grad_v, scale, B, L, S, rows_per_part,
        **head_tiles(D), **by_key.options(),
    )  # fmt: skip
    return _add_parts(grad_q, q), _add_parts(grad_k, k), _add_parts(grad_v, v)


def _empty_parts(like: Tensor, parts: int, dtype: torch.dtype) -> Tensor:
    """Memory for the parts of a gradient; for one part, the gradient itself."""
    if parts == 1:
        return torch.empty_like(like)
    return torch.empty((parts, *like.shape), dtype=dtype, device=like.device)


def _add_parts(parts: Tensor, like: Tensor) -> Tensor:
    if parts.ndim == like.ndim:
        return parts
    total = torch.empty_like(like)
    grid = (triton.cdiv(total.numel(), ADDED_PER_PROGRAM),)
    _add_parts_kernel[grid](parts, total, parts.shape[0], total.numel(), BLOCK=ADDED_PER_PROGRAM)
    return total


@cross_attention_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)

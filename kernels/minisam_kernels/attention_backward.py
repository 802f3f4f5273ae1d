"""The gradients of attention, without stored scores: weights are computed again from the log-sum-exp.

    P = exp(scale q kᵀ - lse)                       the softmax's weights, [L, S]
    dV = Pᵀ dO        dP = dO Vᵀ
    dS = P (dP - delta)                             delta[l] = sum_s P[l, s] dP[l, s] = out[l] . dO[l]
    dQ = scale dS K   dK = scale dSᵀ Q

dQ sums over the keys, dK and dV over the queries. Each of the two sums has a kernel. Every program owns rows of the
result and adds to them in a fixed order: no two programs write to the same address, and every run gives the same
bits. The cost is that scores and dP are computed twice.

Symbols   B batch   N heads   L queries   S keys   D head dim   M queries and K keys of one tile
Ladder    attention.py -> here -> rel_pos_attention_backward.py
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

# Queries per program and keys per step; in the second kernel the other way round.
QUERY_LAUNCHES = {
    "half": Launch(block_m=64, block_k=32, num_warps=4, num_stages=2),
    "single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
}
KEY_LAUNCHES = {
    "half": Launch(block_m=32, block_k=64, num_warps=4, num_stages=2),
    "single": Launch(block_m=16, block_k=32, num_warps=4, num_stages=1),
}


@triton.jit
def _attention_query_gradient_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, grad_out_ptr, grad_q_ptr, delta_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head: their dQ, and their delta for the next kernel."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    own = head * L + rows

    q, q_tail = load_rows(q_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    out, out_tail = load_rows(out_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    grad_out, grad_out_tail = load_rows(grad_out_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    lse = tl.load(lse_ptr + own, mask=row_ok, other=0.0)  # [M]
    delta = tl.sum(out.to(ACC) * grad_out.to(ACC), axis=1)  # [M]
    if TAIL_D > 0:
        delta += tl.sum(out_tail.to(ACC) * grad_out_tail.to(ACC), axis=1)
    grad_q, grad_q_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    for start in range(0, S, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < S
        k, k_tail = load_rows(k_ptr + (head * S + columns) * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        v, v_tail = load_rows(v_ptr + (head * S + columns) * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * scale  # [M, K]
        scores = tl.where(column_ok[None, :], scores, float("-inf"))
        weights = tl.exp(scores - lse[:, None])
        grad_weights = dot_rows(grad_out, grad_out_tail, v, v_tail, TAIL_D)  # [M, K]
        grad_scores = weights * (grad_weights - delta[:, None])
        grad_q, grad_q_tail = add_weighted_rows(grad_q, grad_q_tail, grad_scores, k, k_tail, TAIL_D)

    store_rows(grad_q_ptr + own * D, row_ok, grad_q * scale, grad_q_tail * scale, D, BLOCK_D, TAIL_D)
    tl.store(delta_ptr + own, delta, mask=row_ok)


@triton.jit
def _attention_key_gradient_kernel(
    q_ptr, k_ptr, v_ptr, lse_ptr, delta_ptr, grad_out_ptr, grad_k_ptr, grad_v_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_K keys of one head: their dK and dV, from every query in turn."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head = tl.program_id(1).to(tl.int64)
    columns = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    column_ok = columns < S
    own = head * S + columns

    k, k_tail = load_rows(k_ptr + own * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    v, v_tail = load_rows(v_ptr + own * D, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    grad_k, grad_k_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]
    grad_v, grad_v_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]

    # Queries past the last one have dO = 0 and lse = 0: their weights are multiplied by zeros.
    for start in range(0, L, BLOCK_M):
        rows = start + tl.arange(0, BLOCK_M)
        row_ok = rows < L
        asked = head * L + rows
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

    store_rows(grad_k_ptr + own * D, column_ok, grad_k * scale, grad_k_tail * scale, D, BLOCK_D, TAIL_D)
    store_rows(grad_v_ptr + own * D, column_ok, grad_v, grad_v_tail, D, BLOCK_D, TAIL_D)


@torch.library.custom_op(
    "minisam::attention_backward",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor grad_out, float scale, str launch)"
    " -> (Tensor, Tensor, Tensor)",
)
def attention_backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor, Tensor]:
    """dQ, dK and dV, each as large as q, k and v, from what attention saved and the gradient of its output."""
    by_query, by_key = chosen(QUERY_LAUNCHES, launch), chosen(KEY_LAUNCHES, launch)
    q, k, v, grad_out = q.contiguous(), k.contiguous(), v.contiguous(), grad_out.contiguous()
    B, N, L, D = q.shape
    S = k.shape[2]
    if parts := pieces(B, N):
        of_part = ((x[own] for x in (q, k, v, out, lse, grad_out)) for own in parts)
        grad_q, grad_k, grad_v = joined(attention_backward(*tensors, scale, launch) for tensors in of_part)
        return grad_q, grad_k, grad_v
    grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    delta = torch.empty_like(lse)
    if L == 0:
        grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    elif B * N > 0:
        shared = (scale, L, S)
        _attention_query_gradient_kernel[(triton.cdiv(L, by_query.block_m), B * N)](
            q, k, v, out, lse, grad_out, grad_q, delta, *shared, **head_tiles(D), **by_query.options()
        )
        _attention_key_gradient_kernel[(triton.cdiv(S, by_key.block_k), B * N)](
            q, k, v, lse, delta, grad_out, grad_k, grad_v, *shared, **head_tiles(D), **by_key.options()
        )
    return grad_q, grad_k, grad_v


@attention_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)

"""The backward pass of rel_pos_attention: five gradients, two kernels, no tensor of L x L entries, no atomics.

    p  = exp(scale q kᵀ + bias − lse)                   the weights again, from the saved log-sum-exp
    ds = p ∘ (grad_out vᵀ − delta)                          delta = rowsum(grad_out ∘ out)
    grad_q = scale ds k      grad_k = scale dsᵀ q      grad_v = pᵀ grad_out
    d rel_h[l, i] = sum over j of ds[l, (i, j)]         d rel_w[l, j] = sum over i of ds[l, (i, j)]

The bias is an outer sum, and its gradient consists of the sums of ds along the two axes of the grid. The first kernel
goes over the key rows like forward: the sum of a [M, K] tile of ds along its row is d rel_h[:, i], if the tile holds
all columns of the grid. If not, each block of columns stores its part in float32, and the parts are added afterwards.
The tiles add up to d rel_w. In the second kernel, programs own keys and go over the queries. Each number has one
writer and one order of additions: the same input gives the same bits, in every run and every batch.

Bytes     The dense bias and its gradient, 403 MB each for ViT-B in bfloat16, are never written. The parts of d rel_h
          are 25 MB for an image, if two blocks of 32 columns make up a row, and none if a block is a whole row.
Symbols   as in rel_pos_attention.py; scores are [K, M] in the second kernel, which then need not transpose p and ds
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.attention import sum_type
from minisam_kernels.head_tiles import (
    SMALLEST_TILE,
    add_weighted_rows,
    as_one_projection,
    dot_rows,
    empty_heads,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, chosen
from minisam_kernels.tuned_launches import launch_of

LOG2E = tl.constexpr(1.4426950408889634)

# Queries per program and keys per step; in the second kernel the other way round.
QUERY_LAUNCHES = {
    "half": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "hopper": Launch(block_m=64, block_k=64, num_warps=4, num_stages=2),
    "single": Launch(block_m=16, block_k=32, num_warps=4, num_stages=1),
}
WIDE_QUERY_LAUNCHES = QUERY_LAUNCHES | {"hopper": Launch(block_m=64, block_k=32, num_warps=4, num_stages=2)}
"""For more than 64 channels per head: with whole grid rows of 64 keys, values would not fit into the registers."""
KEY_LAUNCHES = {
    "half": Launch(block_m=16, block_k=64, num_warps=4, num_stages=2),
    "hopper": Launch(block_m=32, block_k=64, num_warps=4, num_stages=2),
    "single": Launch(block_m=16, block_k=16, num_warps=4, num_stages=2),
}


@triton.jit
def _query_gradient_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
    grad_q_ptr, grad_rel_h_ptr, grad_rel_w_ptr, delta_ptr,
    scale, H, W, stride_batch, stride_head, stride_token, stride_grid_row, stride_column_block,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
    WHOLE_ROWS: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head: their grad_q, d rel_h, d rel_w, and delta for the other kernel."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    L, num_heads = H * W, tl.num_programs(1)
    head, batch = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    head_start = batch * stride_batch + head * stride_head
    tokens = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    token_ok = tokens < L
    rows = (batch * num_heads + head) * L + tokens  # of rel_h, rel_w, lse, delta
    merged = ((batch * L + tokens) * num_heads + head) * D  # of out, grad_out, grad_q

    q, q_tail = load_rows(q_ptr + head_start + tokens * stride_token, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    grad_out, grad_out_tail = load_rows(grad_out_ptr + merged, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    out, out_tail = load_rows(out_ptr + merged, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    delta = tl.sum(grad_out.to(ACC) * out.to(ACC), axis=1)  # [M]
    if TAIL_D > 0:
        delta += tl.sum(grad_out_tail.to(ACC) * out_tail.to(ACC), axis=1)
    tl.store(delta_ptr + rows, delta, mask=token_ok)
    lse = tl.load(lse_ptr + rows, mask=token_ok, other=0.0)  # [M]
    grad_q, grad_q_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    for first in range(0, BLOCK_K if WHOLE_ROWS else W, BLOCK_K):
        columns = first + tl.arange(0, BLOCK_K)
        column_ok = columns < W
        inside = token_ok[:, None] & column_ok[None, :]
        rel_w = tl.load(rel_w_ptr + rows[:, None] * W + columns[None, :], mask=inside, other=0.0)  # [M, K]
        rel_w = tl.where(column_ok[None, :], rel_w.to(ACC) * LOG2E, float("-inf"))
        grad_rel_w = tl.zeros([BLOCK_M, BLOCK_K], ACC)
        keys = head_start + columns.to(tl.int64) * stride_token
        for i in range(H):
            rel_h = tl.load(rel_h_ptr + rows * H + i, mask=token_ok, other=0.0).to(ACC) * LOG2E  # [M]
            k, k_tail = load_rows(k_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
            v, v_tail = load_rows(v_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
            scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * (scale * LOG2E) + rel_w  # [M, K]
            weights = tl.exp2(scores - (lse - rel_h)[:, None])
            grad_weights = dot_rows(grad_out, grad_out_tail, v, v_tail, TAIL_D)  # [M, K]
            grad_scores = weights * (grad_weights - delta[:, None])

            tl.store(grad_rel_h_ptr + rows * H + i, tl.sum(grad_scores, axis=1), mask=token_ok)
            grad_rel_w += grad_scores
            grad_q, grad_q_tail = add_weighted_rows(grad_q, grad_q_tail, grad_scores, k, k_tail, TAIL_D)
            keys += stride_grid_row
        tl.store(grad_rel_w_ptr + rows[:, None] * W + columns[None, :], grad_rel_w, mask=inside)
        grad_rel_h_ptr += stride_column_block

    store_rows(grad_q_ptr + merged, token_ok, grad_q * scale, grad_q_tail * scale, D, BLOCK_D, TAIL_D)


@triton.jit
def _key_gradient_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, lse_ptr, delta_ptr, grad_out_ptr,
    grad_k_ptr, grad_v_ptr,
    scale, H, W, stride_batch, stride_head, stride_token,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns up to BLOCK_K keys of one grid row of one head, their grad_k and grad_v."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    L, num_heads = H * W, tl.num_programs(1)
    head, batch = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    head_start = batch * stride_batch + head * stride_head
    column_blocks = tl.cdiv(W, BLOCK_K)
    i = tl.program_id(0) // column_blocks
    columns = tl.program_id(0) % column_blocks * BLOCK_K + tl.arange(0, BLOCK_K)
    column_ok = columns < W
    keys = (i * W + columns).to(tl.int64)

    k, k_tail = load_rows(k_ptr + head_start + keys * stride_token, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    v, v_tail = load_rows(v_ptr + head_start + keys * stride_token, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    grad_k, grad_k_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]
    grad_v, grad_v_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]

    for first in range(0, L, BLOCK_M):
        tokens = (first + tl.arange(0, BLOCK_M)).to(tl.int64)
        token_ok = tokens < L
        rows = (batch * num_heads + head) * L + tokens
        merged = ((batch * L + tokens) * num_heads + head) * D
        inside = token_ok[None, :] & column_ok[:, None]
        q_rows = q_ptr + head_start + tokens * stride_token
        q, q_tail = load_rows(q_rows, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        grad_out, grad_out_tail = load_rows(grad_out_ptr + merged, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        rel_w = tl.load(rel_w_ptr + rows[None, :] * W + columns[:, None], mask=inside, other=float("-inf"))
        rel_h = tl.load(rel_h_ptr + rows * H + i, mask=token_ok, other=0.0).to(ACC) * LOG2E  # [M]
        lse = tl.load(lse_ptr + rows, mask=token_ok, other=0.0)  # [M]
        delta = tl.load(delta_ptr + rows, mask=token_ok, other=0.0)  # [M]

        scores = dot_rows(k, k_tail, q, q_tail, TAIL_D) * (scale * LOG2E) + rel_w.to(ACC) * LOG2E  # [K, M]
        weights = tl.exp2(scores - (lse - rel_h)[None, :])
        grad_weights = dot_rows(v, v_tail, grad_out, grad_out_tail, TAIL_D)  # [K, M]
        grad_scores = weights * (grad_weights - delta[None, :])
        grad_v, grad_v_tail = add_weighted_rows(grad_v, grad_v_tail, weights, grad_out, grad_out_tail, TAIL_D)
        grad_k, grad_k_tail = add_weighted_rows(grad_k, grad_k_tail, grad_scores, q, q_tail, TAIL_D)

    merged = ((batch * L + keys) * num_heads + head) * D
    store_rows(grad_k_ptr + merged, column_ok, grad_k * scale, grad_k_tail * scale, D, BLOCK_D, TAIL_D)
    store_rows(grad_v_ptr + merged, column_ok, grad_v, grad_v_tail, D, BLOCK_D, TAIL_D)


@torch.library.custom_op(
    "minisam::rel_pos_attention_backward",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor rel_h, Tensor rel_w, Tensor out, Tensor lse, Tensor grad_out, "
    "float scale, str launch) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def rel_pos_attention_backward(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor,
    scale: float, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of q, k, v, rel_h and rel_w, from what rel_pos_attention saved and the gradient of its output."""
    query_launches = QUERY_LAUNCHES if q.shape[-1] <= 64 else WIDE_QUERY_LAUNCHES
    by_query, by_key = (
        launch_of(f"rel_pos_attention, d {what}", chosen(launches, launch), launch, q.shape[-1], q)
        for what, launches in (("query", query_launches), ("key", KEY_LAUNCHES))
    )
    q, k, v = as_one_projection(q, k, v)
    rel_h, rel_w, grad_out = rel_h.contiguous(), rel_w.contiguous(), grad_out.transpose(1, 2).contiguous()
    B, N, L, D = q.shape
    H, W = rel_h.shape[-1], rel_w.shape[-1]
    column_blocks = triton.cdiv(W, key_block(by_query, W))
    sums_h = rel_h.new_empty(
        column_blocks, *rel_h.shape, dtype=rel_h.dtype if column_blocks == 1 else sum_type(q.dtype)
    )
    grad_q, grad_k, grad_v, grad_rel_w = (
        empty_heads(q),
        empty_heads(q),
        empty_heads(q),
        torch.empty_like(rel_w),
    )
    if q.numel():
        delta = torch.empty_like(lse)
        grid = (scale, H, W, *q.stride()[:3])
        _query_gradient_kernel[(triton.cdiv(L, by_query.block_m), N, B)](
            q, k, v, rel_h, rel_w, out, lse, grad_out, grad_q, sums_h, grad_rel_w, delta,
            *grid, W * q.stride(2), rel_h.numel(),
            **head_tiles(D), **{**by_query.options(), "BLOCK_K": key_block(by_query, W)},
            WHOLE_ROWS=column_blocks == 1,
        )  # fmt: skip
        _key_gradient_kernel[(H * triton.cdiv(W, key_block(by_key, W)), N, B)](
            q, k, v, rel_h, rel_w, lse, delta, grad_out, grad_k, grad_v, *grid,
            **head_tiles(D), **{**by_key.options(), "BLOCK_K": key_block(by_key, W)},
        )  # fmt: skip
    return grad_q, grad_k, grad_v, sums_h.sum(0).to(rel_h.dtype), grad_rel_w


@rel_pos_attention_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor,
    scale: float, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return empty_heads(q), empty_heads(q), empty_heads(q), q.new_empty(rel_h.shape), q.new_empty(rel_w.shape)


def key_block(launch: Launch, width: int) -> int:
    """Keys per tile of a grid row: the whole row if the launch allows it."""
    return min(launch.block_k, max(SMALLEST_TILE, triton.next_power_of_2(width)))

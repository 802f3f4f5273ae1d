"""The backward pass of window_attention: gradients of qkv, of the projection's bias and of both position tables.

    p  = exp(scale q kᵀ + bias − lse)               the weights again, from the saved log-sum-exp
    ds = p ∘ (grad_out vᵀ − delta)                  delta = rowsum(grad_out ∘ out)
    grad_v = pᵀ grad_out       grad_k = scale dsᵀ q       grad_q = scale ds k + grad_rel_h R_h + grad_rel_w R_w
    grad_rel_h[l, t] = sum of ds[l] over the keys in window row t, likewise for columns: ds times zeros and ones

A padded key is the bias vector. The grad_k and grad_v of all padded keys add up to the bias's gradient, apart from
the part that comes through qkv. A table row collects the gradients of all queries and keys at its offset: grad_relᵀ
q.

A program owns BLOCK_M queries or BLOCK_M keys. The two kinds alternate, and the second program of a pair finds the
data of its window and head in the L2 cache. Sums over windows are stored one by one and added afterwards, in a fixed
order: no atomics, and the same bits in every run.

Bytes     qkv, out, grad_out and grad_qkv once, 50 MB for an image in ViT-B. No padding, windows, bias or crop.
Symbols   as in window_attention.py and window_tiles.py; scores are [K, M] where a program owns keys
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
from minisam_kernels.launch import Launch, chosen
from minisam_kernels.tuned_launches import launch_of
from minisam_kernels.window_tiles import (
    load_keys,
    locate_keys,
    locate_queries,
    locate_window,
    one_hot,
    relative_bias,
    relative_scores_by_offset,
    window_tiles,
)

LOG2E = tl.constexpr(1.4426950408889634)

# Tokens per program, and tokens of the other kind per step.
LAUNCHES = {
    "half": Launch(block_m=32, block_k=16, num_warps=4, num_stages=1),
    "hopper": Launch(block_m=64, block_k=32, num_warps=4, num_stages=1),
    "single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
}
WIDE_HEADS = LAUNCHES | {
    "hopper": Launch(block_m=64, block_k=16, num_warps=8, num_stages=1),
    "single": Launch(block_m=16, block_k=16, num_warps=4, num_stages=1),
}
"""For more than 64 channels per head: with the others, values would not fit into the registers."""


@triton.jit
def _window_attention_backward_kernel(
    qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
    grad_qkv_ptr, grad_tables_ptr, grad_bias_ptr, scale, H, W, BLOCKS: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns the queries, or the keys, of one of the BLOCKS blocks of one window and head."""
    window, block = tl.program_id(0) // (2 * BLOCKS), tl.program_id(0) % (2 * BLOCKS)
    if block < BLOCKS:
        _query_gradients(
            qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
            grad_qkv_ptr, grad_tables_ptr, scale, H, W, window, block, BLOCKS,
            S, BLOCK_T, BLOCK_R, D, BLOCK_D, TAIL_D, BLOCK_M, BLOCK_K,
        )  # fmt: skip
    else:
        _key_gradients(
            qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
            grad_qkv_ptr, grad_bias_ptr, scale, H, W, window, block - BLOCKS, BLOCKS,
            S, BLOCK_T, BLOCK_R, D, BLOCK_D, TAIL_D, BLOCK_K, BLOCK_M,
        )  # fmt: skip


@triton.jit
def _query_gradients(
    qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
    grad_qkv_ptr, grad_tables_ptr, scale, H, W, window, block, BLOCKS: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """grad_q of BLOCK_M queries, and their contribution to the gradients of the tables."""
    ACC: tl.constexpr = tl.float64 if qkv_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    C = num_heads * D
    batch, top, left, height, width = locate_window(window, H, W, S)
    m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    token, i, j = locate_queries(m, batch, top, left, width, H, W)
    query_ok = m < height * width
    own_head = token * C + head * D

    q, q_tail = load_rows(qkv_ptr + token * 3 * C + head * D, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    rel_h, rel_w = relative_bias(
        q, q_tail, i, j, rel_pos_h_ptr, rel_pos_w_ptr, D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R
    )  # [M, T]
    grad_out, grad_out_tail = load_rows(grad_out_ptr + own_head, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    out, out_tail = load_rows(out_ptr + own_head, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    delta = row_products(grad_out, grad_out_tail, out, out_tail, TAIL_D, ACC)  # [M]
    lse = tl.load(lse_ptr + token * num_heads + head, mask=query_ok, other=0.0)  # [M]
    grad_q, grad_q_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]
    grad_rel_h, grad_rel_w = tl.zeros([BLOCK_M, BLOCK_T], ACC), tl.zeros([BLOCK_M, BLOCK_T], ACC)

    k_ptr, k_bias = qkv_ptr + C + head * D, bias_ptr + C + head * D
    # A block of queries that is empty in an edge window has no keys to process: it adds zeros to the tables.
    num_keys = tl.where(block * BLOCK_M < height * width, S * S, 0)
    for first in range(0, num_keys, BLOCK_K):
        n = first + tl.arange(0, BLOCK_K)
        key_ok = n < S * S
        key, on_grid = locate_keys(n, batch, top, left, H, W, S)
        k, k_tail = load_keys(k_ptr + key * 3 * C, k_bias, on_grid, key_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        v, v_tail = load_keys(
            k_ptr + key * 3 * C + C, k_bias + C, on_grid, key_ok, D, BLOCK_D, TAIL_D
        )  # [K, D]
        in_row, in_column = one_hot(n // S, BLOCK_T, q.dtype), one_hot(n % S, BLOCK_T, q.dtype)  # [T, K]
        bias = tl.dot(rel_h, in_row, input_precision="ieee")  # [M, K]
        bias = tl.dot(rel_w, in_column, bias, input_precision="ieee")
        scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * (scale * LOG2E) + bias
        weights = tl.exp2(tl.where(key_ok[None, :], scores - lse[:, None], float("-inf")))
        grad_weights = dot_rows(grad_out, grad_out_tail, v, v_tail, TAIL_D)  # [M, K]
        grad_scores = weights * (grad_weights - delta[:, None])

        grad_q, grad_q_tail = add_weighted_rows(grad_q, grad_q_tail, grad_scores, k, k_tail, TAIL_D)
        grad_scores = grad_scores.to(q.dtype)
        grad_rel_h = tl.dot(grad_scores, tl.trans(in_row), grad_rel_h, input_precision="ieee")  # [M, T]
        grad_rel_w = tl.dot(grad_scores, tl.trans(in_column), grad_rel_w, input_precision="ieee")  # [M, T]

    grad_q, grad_q_tail = grad_q * scale, grad_q_tail * scale
    table_size = (2 * S - 1) * D
    tables = grad_tables_ptr + ((window * BLOCKS + block).to(tl.int64) * num_heads + head) * 2 * table_size
    grad_q, grad_q_tail = _through_table(
        grad_rel_h, i, q, q_tail, grad_q, grad_q_tail, rel_pos_h_ptr, tables,
        D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R, ACC,
    )  # fmt: skip
    grad_q, grad_q_tail = _through_table(
        grad_rel_w, j, q, q_tail, grad_q, grad_q_tail, rel_pos_w_ptr, tables + table_size,
        D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R, ACC,
    )  # fmt: skip
    store_rows(grad_qkv_ptr + token * 3 * C + head * D, query_ok, grad_q, grad_q_tail, D, BLOCK_D, TAIL_D)


@triton.jit
def _through_table(
    grad_rel, place, q, q_tail, grad_q, grad_q_tail, table_ptr, grad_table_ptr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Propagates grad_rel [M, T] back through q · R: adds to grad_q, and stores the contribution to R's gradient."""
    offsets = tl.arange(0, BLOCK_R)
    offset_ok = offsets < 2 * S - 1
    table, table_tail = load_rows(table_ptr + offsets * D, offset_ok, D, BLOCK_D, TAIL_D)  # [R, D]
    by_offset = relative_scores_by_offset(grad_rel, place, S, BLOCK_T, BLOCK_R)  # [M, R]
    grad_q, grad_q_tail = add_weighted_rows(grad_q, grad_q_tail, by_offset, table, table_tail, TAIL_D)
    main, tail = zero_rows(BLOCK_R, BLOCK_D, TAIL_D, ACC)
    main, tail = add_weighted_rows(main, tail, tl.trans(by_offset), q, q_tail, TAIL_D)  # [R, D]
    store_rows(grad_table_ptr + offsets * D, offset_ok, main, tail, D, BLOCK_D, TAIL_D)
    return grad_q, grad_q_tail


@triton.jit
def _key_gradients(
    qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
    grad_qkv_ptr, grad_bias_ptr, scale, H, W, window, block, BLOCKS: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """grad_k and grad_v of BLOCK_K keys, and the sums of both over the padded keys."""
    ACC: tl.constexpr = tl.float64 if qkv_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    C = num_heads * D
    batch, top, left, height, width = locate_window(window, H, W, S)
    n = block * BLOCK_K + tl.arange(0, BLOCK_K)
    key_ok = n < S * S
    key, on_grid = locate_keys(n, batch, top, left, H, W, S)

    k_ptr, k_bias = qkv_ptr + C + head * D, bias_ptr + C + head * D
    k, k_tail = load_keys(k_ptr + key * 3 * C, k_bias, on_grid, key_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    v, v_tail = load_keys(k_ptr + key * 3 * C + C, k_bias + C, on_grid, key_ok, D, BLOCK_D, TAIL_D)  # [K, D]
    in_row = tl.trans(one_hot(n // S, BLOCK_T, k.dtype))  # [K, T]
    in_column = tl.trans(one_hot(n % S, BLOCK_T, k.dtype))  # [K, T]
    grad_k, grad_k_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]
    grad_v, grad_v_tail = zero_rows(BLOCK_K, BLOCK_D, TAIL_D, ACC)  # [K, D]

    for first in range(0, height * width, BLOCK_M):
        m = first + tl.arange(0, BLOCK_M)
        token, i, j = locate_queries(m, batch, top, left, width, H, W)
        query_ok = m < height * width
        own_head = token * C + head * D
        q, q_tail = load_rows(qkv_ptr + token * 3 * C + head * D, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        grad_out, grad_out_tail = load_rows(grad_out_ptr + own_head, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        out, out_tail = load_rows(out_ptr + own_head, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        delta = row_products(grad_out, grad_out_tail, out, out_tail, TAIL_D, ACC)  # [M]
        lse = tl.load(lse_ptr + token * num_heads + head, mask=query_ok, other=0.0)  # [M]
        rel_h, rel_w = relative_bias(
            q, q_tail, i, j, rel_pos_h_ptr, rel_pos_w_ptr, D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R
        )  # [M, T]

        bias = tl.dot(in_row, tl.trans(rel_h), input_precision="ieee")  # [K, M]
        bias = tl.dot(in_column, tl.trans(rel_w), bias, input_precision="ieee")
        scores = dot_rows(k, k_tail, q, q_tail, TAIL_D) * (scale * LOG2E) + bias
        weights = tl.exp2(tl.where(key_ok[:, None], scores - lse[None, :], float("-inf")))
        grad_weights = dot_rows(v, v_tail, grad_out, grad_out_tail, TAIL_D)  # [K, M]
        grad_scores = weights * (grad_weights - delta[None, :])
        grad_v, grad_v_tail = add_weighted_rows(grad_v, grad_v_tail, weights, grad_out, grad_out_tail, TAIL_D)
        grad_k, grad_k_tail = add_weighted_rows(grad_k, grad_k_tail, grad_scores, q, q_tail, TAIL_D)

    grad_k, grad_k_tail = grad_k * scale, grad_k_tail * scale
    real, padding = key_ok & on_grid, key_ok & (on_grid == 0)
    grad_rows = grad_qkv_ptr + key * 3 * C + C + head * D
    store_rows(grad_rows, real, grad_k, grad_k_tail, D, BLOCK_D, TAIL_D)
    store_rows(grad_rows + C, real, grad_v, grad_v_tail, D, BLOCK_D, TAIL_D)
    sums = grad_bias_ptr + ((window * BLOCKS + block).to(tl.int64) * 2 * num_heads + head) * D
    store_sum(sums, padding, grad_k, grad_k_tail, D, BLOCK_D, TAIL_D)
    store_sum(sums + C, padding, grad_v, grad_v_tail, D, BLOCK_D, TAIL_D)


@triton.jit
def row_products(a, a_tail, b, b_tail, TAIL_D: tl.constexpr, ACC: tl.constexpr):
    """The dot product of each row of a with the same row of b, [M]."""
    products = tl.sum(a.to(ACC) * b.to(ACC), axis=1)
    if TAIL_D > 0:
        products += tl.sum(a_tail.to(ACC) * b_tail.to(ACC), axis=1)
    return products


@triton.jit
def store_sum(ptr, row_ok, main, tail, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr):
    """The sums over all rows that are ok, one per channel."""
    tl.store(ptr + tl.arange(0, BLOCK_D), tl.sum(tl.where(row_ok[:, None], main, 0.0), axis=0))
    if TAIL_D > 0:
        dims = BLOCK_D + tl.arange(0, TAIL_D)
        tl.store(ptr + dims, tl.sum(tl.where(row_ok[:, None], tail, 0.0), axis=0), mask=dims < D)


@torch.library.custom_op(
    "minisam::window_attention_backward",
    mutates_args=(),
    schema="(Tensor qkv, Tensor qkv_bias, Tensor rel_pos_h, Tensor rel_pos_w, Tensor out, Tensor lse, "
    "Tensor grad_out, int window_size, str launch) -> (Tensor, Tensor, Tensor, Tensor)",
)
def window_attention_backward(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, out: Tensor, lse: Tensor,
    grad_out: Tensor, window_size: int, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of qkv, qkv_bias and both tables, from what window_attention saved and grad_out [B, H, W, C]."""
    D, S = rel_pos_h.shape[1], window_size
    hand_picked = chosen(LAUNCHES if D <= 64 else WIDE_HEADS, launch)
    choice = launch_of("window_attention, backward", hand_picked, launch, D, qkv)
    qkv, qkv_bias, grad_out = qkv.contiguous(), qkv_bias.contiguous(), grad_out.contiguous()
    rel_pos_h, rel_pos_w = rel_pos_h.contiguous(), rel_pos_w.contiguous()
    (B, H, W, _), N = qkv.shape, lse.shape[-1]
    windows = B * triton.cdiv(H, S) * triton.cdiv(W, S)
    blocks = triton.cdiv(S * S, choice.block_m)
    grad_qkv = torch.empty_like(qkv)
    tables = lse.new_empty(windows * blocks * N, 2, 2 * S - 1, D)
    biases = lse.new_empty(windows * blocks, 2 * N * D)
    if windows:
        _window_attention_backward_kernel[(windows * 2 * blocks, N)](
            qkv, qkv_bias, rel_pos_h, rel_pos_w, out, lse, grad_out, grad_qkv, tables, biases,
            D**-0.5, H, W, blocks, **window_tiles(S), **head_tiles(D), **choice.options(),
        )  # fmt: skip
    grad_rel_pos_h, grad_rel_pos_w = tables.sum(0).to(qkv.dtype).unbind(0)
    grad_bias = torch.cat([biases.new_zeros(N * D), biases.sum(0)]).to(qkv.dtype)
    return grad_qkv, grad_bias, grad_rel_pos_h.clone(), grad_rel_pos_w.clone()


@window_attention_backward.register_fake
def _(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, out: Tensor, lse: Tensor,
    grad_out: Tensor, window_size: int, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    new_qkv, new_bias = qkv.new_empty(qkv.shape), qkv_bias.new_empty(qkv_bias.shape)
    return new_qkv, new_bias, rel_pos_h.new_empty(rel_pos_h.shape), rel_pos_w.new_empty(rel_pos_w.shape)

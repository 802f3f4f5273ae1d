"""window_attention's backward for a block of queries: grad_q, and its part of the gradients of both position tables.

    grad_q = scale ds k + grad_rel_h R_h + grad_rel_w R_w           grad_R = grad_relᵀ q
    grad_rel_h[l, t] = sum of ds[l] over the keys in window row t, likewise for columns: ds times zeros and ones

Symbols   as in window_attention_backward.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None] or an annotated constexpr.

from __future__ import annotations

import triton
import triton.language as tl

from minisam_kernels.head_tiles import (
    add_weighted_rows,
    dot_rows,
    load_rows,
    row_products,
    store_rows,
    zero_rows,
)
from minisam_kernels.window_tiles import (
    load_keys,
    locate_keys,
    locate_queries,
    locate_window,
    one_hot,
    relative_bias,
    relative_scores_by_offset,
)

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def query_gradients(
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

"""window_attention's backward for a block of keys: grad_k, grad_v, and their sums over the padded keys.

    grad_v = pᵀ grad_out       grad_k = scale dsᵀ q       scores are [K, M], so that p and ds are not transposed

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
)

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def key_gradients(
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
def store_sum(ptr, row_ok, main, tail, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr):
    """The sums over all rows that are ok, one per channel."""
    tl.store(ptr + tl.arange(0, BLOCK_D), tl.sum(tl.where(row_ok[:, None], main, 0.0), axis=0))
    if TAIL_D > 0:
        dims = BLOCK_D + tl.arange(0, TAIL_D)
        tl.store(ptr + dims, tl.sum(tl.where(row_ok[:, None], tail, 0.0), axis=0), mask=dims < D)

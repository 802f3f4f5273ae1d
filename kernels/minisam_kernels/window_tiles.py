"""Code shared by the kernels of window attention: a window's token addresses, and relative positions as products.

    keys      n-th of S·S: token (top + n // S, left + n % S) of the grid; beyond the grid's edge, the bias vector
    queries   m-th of the real queries, which are the first `height` rows and `width` columns of the window

Relative positions of a query in window row i, for all rows t of the window:

    rel_h[t] = q · R[i − t + S − 1]              one product of q with the whole table, then a gather along its rows
    bias[n]  = rel_h[n // S] + rel_w[n % S]      two products with matrices of zeros and ones

The second line is the outer sum of rel_pos_attention, for blocks of keys that need not be whole rows. In backward,
the same matrices sum the gradients of a row or column. Tensor cores do all of this, and no bias is gathered from
memory.

M queries and K keys of one tile   S window side   T = S slots and R = 2·S − 1 offsets, up to a power of two
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None] or an annotated constexpr.

from __future__ import annotations

import triton
import triton.language as tl

from minisam_kernels.head_tiles import SMALLEST_TILE, dot_rows, load_rows

LOG2E = tl.constexpr(1.4426950408889634)


def window_tiles(window_size: int) -> dict[str, int]:
    """The side and the two powers of two, as keyword arguments of a kernel."""
    slots = max(SMALLEST_TILE, triton.next_power_of_2(window_size))
    offsets = max(SMALLEST_TILE, triton.next_power_of_2(2 * window_size - 1))
    return {"S": window_size, "BLOCK_T": slots, "BLOCK_R": offsets}


@triton.jit
def locate_window(window, H, W, S: tl.constexpr):
    """For the window with that number: its image, first row and column, and its height and width on the grid."""
    down, across = tl.cdiv(H, S), tl.cdiv(W, S)
    batch = (window // (down * across)).to(tl.int64)
    top, left = window // across % down * S, window % across * S
    return batch, top, left, tl.minimum(S, H - top), tl.minimum(S, W - left)


@triton.jit
def locate_queries(m, batch, top, left, width, H, W):
    """Token indices, over all images, of the window's m-th queries, and their rows and columns in the window, [M]."""
    i, j = m // width, m % width
    return (batch * H + top + i) * W + left + j, i, j


@triton.jit
def locate_keys(n, batch, top, left, H, W, S: tl.constexpr):
    """Token indices, over all images, of the window's n-th keys, [K], and which of them are on the grid."""
    row, column = top + n // S, left + n % S
    return (batch * H + row) * W + column, (row < H) & (column < W)


@triton.jit
def load_keys(
    row_ptrs, bias_ptr, on_grid, key_ok, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr
):
    """load_rows, but tokens beyond the grid's edge get the D numbers at bias_ptr."""
    dims, own_row = tl.arange(0, BLOCK_D)[None, :], on_grid[:, None]
    main_ptrs = tl.where(own_row, row_ptrs[:, None] + dims, bias_ptr + dims)
    main = tl.load(main_ptrs, mask=key_ok[:, None], other=0.0)
    tail = main
    if TAIL_D > 0:
        tail_dims = BLOCK_D + tl.arange(0, TAIL_D)[None, :]
        tail_ptrs = tl.where(own_row, row_ptrs[:, None] + tail_dims, bias_ptr + tail_dims)
        tail = tl.load(tail_ptrs, mask=key_ok[:, None] & (tail_dims < D), other=0.0)
    return main, tail


@triton.jit
def relative_bias(
    q, q_tail, i, j, rel_pos_h_ptr, rel_pos_w_ptr, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """rel_h and rel_w [M, T] of queries in the window's rows i and columns j, in base 2 and in q's type."""
    rel_h = relative_scores(q, q_tail, i, rel_pos_h_ptr, D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R)
    rel_w = relative_scores(q, q_tail, j, rel_pos_w_ptr, D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R)
    return (rel_h * LOG2E).to(q.dtype), (rel_w * LOG2E).to(q.dtype)


@triton.jit
def relative_scores(
    q, q_tail, place, table_ptr, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """q · R[place − t + S − 1] for queries in row (or column) `place` and every slot t, [M, T]."""
    offsets = tl.arange(0, BLOCK_R)
    table, table_tail = load_rows(table_ptr + offsets * D, offsets < 2 * S - 1, D, BLOCK_D, TAIL_D)  # [R, D]
    by_offset = dot_rows(q, q_tail, table, table_tail, TAIL_D)  # [M, R]
    offset = place[:, None] - tl.arange(0, BLOCK_T)[None, :] + S - 1
    return tl.gather(by_offset, tl.minimum(tl.maximum(offset, 0), BLOCK_R - 1), axis=1)


@triton.jit
def relative_scores_by_offset(grad_rel, place, S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr):
    """The gradient of relative_scores, [M, T], by the offsets that it came from, [M, R]."""
    slot = place[:, None] - tl.arange(0, BLOCK_R)[None, :] + S - 1
    gathered = tl.gather(grad_rel, tl.minimum(tl.maximum(slot, 0), BLOCK_T - 1), axis=1)
    return tl.where((slot >= 0) & (slot < S), gathered, 0.0)


@triton.jit
def one_hot(place, BLOCK_T: tl.constexpr, dtype: tl.constexpr):
    """[T, K]: 1 where the key's row (or column) is t."""
    return (tl.arange(0, BLOCK_T)[:, None] == place[None, :]).to(dtype)

"""Attention inside the windows of a grid, fused with everything around it: SAM's local layers.

    out[window] = softmax(scale q kᵀ + bias) v,      bias[l, (i, j)] = q[l] · R_h[i_l − i] + q[l] · R_w[j_l − j]

The usual implementation pads the grid, copies it into windows, builds each window's bias, attends, copies back and
crops. Most of this is only addressing. Here, a program reads its window's tokens directly from the output of the
projection to q, k and v, and writes its results where the next projection reads them. SAM pads the *tokens* with
zeros, and the q, k and v of a padded token are the projection's bias. A padded token is a key like any other: its
pointer leads to the bias vector instead of the grid. Padded queries are not computed, since their results would be
cropped.

Bytes     ViT-B, one image: 25 MB for qkv and out. Padding, windows, bias and copying back are 104 MB more, in 8
          launches.
Symbols   B batch   H, W grid   N heads   D head dim   C = N·D   S window side   M queries and K keys of one tile
Ladder    reference/window_attention.py -> minisam/model/window_attention.py -> rel_pos_attention.py
          -> window_tiles.py -> here -> window_attention_backward.py
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
    add_weighted_rows,
    dot_rows,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, check_head_dim, check_shape, check_tensors, chosen, launch_on
from minisam_kernels.tuned_launches import launch_of
from minisam_kernels.window_attention_backward import window_attention_backward
from minisam_kernels.window_tiles import (
    load_keys,
    locate_keys,
    locate_queries,
    locate_window,
    one_hot,
    relative_bias,
    window_tiles,
)

LOG2E = tl.constexpr(1.4426950408889634)

LAUNCHES = {
    "half": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "hopper": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "single": Launch(block_m=16, block_k=64, num_warps=8, num_stages=1),
}


@triton.jit
def _window_attention_kernel(
    qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, scale, H, W, BLOCKS: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns one of the BLOCKS blocks of queries of one window and head, and processes its S·S keys."""
    ACC: tl.constexpr = tl.float64 if qkv_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    C = num_heads * D
    window, block = tl.program_id(0) // BLOCKS, tl.program_id(0) % BLOCKS
    batch, top, left, height, width = locate_window(window, H, W, S)
    if block * BLOCK_M >= height * width:  # an edge window has fewer queries
        return
    m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    token, i, j = locate_queries(m, batch, top, left, width, H, W)
    query_ok = m < height * width

    q, q_tail = load_rows(qkv_ptr + token * 3 * C + head * D, query_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    rel_h, rel_w = relative_bias(
        q, q_tail, i, j, rel_pos_h_ptr, rel_pos_w_ptr, D, BLOCK_D, TAIL_D, S, BLOCK_T, BLOCK_R
    )  # [M, T]
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    k_ptr, k_bias = qkv_ptr + C + head * D, bias_ptr + C + head * D
    for first in range(0, S * S, BLOCK_K):
        n = first + tl.arange(0, BLOCK_K)
        key_ok = n < S * S
        key, on_grid = locate_keys(n, batch, top, left, H, W, S)
        k, k_tail = load_keys(k_ptr + key * 3 * C, k_bias, on_grid, key_ok, D, BLOCK_D, TAIL_D)  # [K, D]
        v, v_tail = load_keys(
            k_ptr + key * 3 * C + C, k_bias + C, on_grid, key_ok, D, BLOCK_D, TAIL_D
        )  # [K, D]
        bias = tl.dot(rel_h, one_hot(n // S, BLOCK_T, q.dtype), input_precision="ieee")  # [M, K]
        bias = tl.dot(rel_w, one_hot(n % S, BLOCK_T, q.dtype), bias, input_precision="ieee")
        scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * (scale * LOG2E) + bias  # [M, K]
        scores = tl.where(key_ok[None, :], scores, float("-inf"))

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        weights = tl.exp2(scores - new_max[:, None])
        rescale = tl.exp2(row_max - new_max)
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None]
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None]
        acc, acc_tail = add_weighted_rows(acc, acc_tail, weights, v, v_tail, TAIL_D)
        row_max = new_max

    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + token * C + head * D, query_ok, out, out_tail, D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + token * num_heads + head, row_max + tl.log2(row_sum), mask=query_ok)


def window_attention(
    qkv: Tensor,
    qkv_bias: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    num_heads: int,
    window_size: int,
    *,
    launch: str | None = None,
) -> Tensor:
    """qkv [B, H, W, 3*C] of the unpadded tokens, qkv_bias [3*C], rel_pos_* [2*window_size - 1, D] -> [B, H, W, C].

    The last axis of qkv holds q, k and v, and within each of them the heads in order; D = C / num_heads is one of
    16, 24, … 128. `launch` is one of LAUNCHES, by default the one made for qkv's type. Raises ValueError where
    there is no kernel.
    """
    check_tensors("window_attention", qkv=qkv, qkv_bias=qkv_bias, rel_pos_h=rel_pos_h, rel_pos_w=rel_pos_w)
    if num_heads < 1 or window_size < 1:
        raise ValueError(
            f"window_attention: num_heads and window_size must be at least 1, got {num_heads} and {window_size}"
        )
    if qkv.ndim != 4 or qkv.shape[3] % (3 * num_heads):
        raise ValueError(
            f"window_attention: qkv must be [B, H, W, 3*C] with C a multiple of num_heads = {num_heads}, "
            f"got {list(qkv.shape)}"
        )
    D = qkv.shape[3] // (3 * num_heads)
    check_head_dim("window_attention", D)
    check_shape("window_attention", "qkv_bias", qkv_bias, (qkv.shape[3],))
    check_shape("window_attention", "rel_pos_h", rel_pos_h, (2 * window_size - 1, D))
    check_shape("window_attention", "rel_pos_w", rel_pos_w, (2 * window_size - 1, D))
    launch = launch or launch_on(qkv)
    return _window_attention(qkv, qkv_bias, rel_pos_h, rel_pos_w, num_heads, window_size, launch)[0]


@torch.library.custom_op(
    "minisam::window_attention",
    mutates_args=(),
    schema="(Tensor qkv, Tensor qkv_bias, Tensor rel_pos_h, Tensor rel_pos_w, int num_heads, int window_size, "
    "str launch) -> (Tensor, Tensor)",
)
def _window_attention(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor,
    num_heads: int, window_size: int, launch: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    B, H, W, channels = qkv.shape
    S, D = window_size, channels // (3 * num_heads)
    choice = launch_of("window_attention", chosen(LAUNCHES, launch), launch, D, qkv)
    out = qkv.new_empty(B, H, W, channels // 3)
    lse = qkv.new_empty(B, H, W, num_heads, dtype=sum_type(qkv.dtype))
    if out.numel():
        blocks = triton.cdiv(S * S, choice.block_m)
        _window_attention_kernel[(B * triton.cdiv(H, S) * triton.cdiv(W, S) * blocks, num_heads)](
            qkv.contiguous(), qkv_bias.contiguous(), rel_pos_h.contiguous(), rel_pos_w.contiguous(), out, lse,
            D**-0.5, H, W, blocks, **window_tiles(S), **head_tiles(D), **choice.options(),
        )  # fmt: skip
    return out, lse


@_window_attention.register_fake
def _(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor,
    num_heads: int, window_size: int, launch: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    B, H, W, channels = qkv.shape
    lse = qkv.new_empty(B, H, W, num_heads, dtype=sum_type(qkv.dtype))
    return qkv.new_empty(B, H, W, channels // 3), lse


def _keep(ctx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    *tensors, _, ctx.window_size, ctx.launch = inputs
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx, grad_out: Tensor, _grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    grads = window_attention_backward(*ctx.saved_tensors, grad_out, ctx.window_size, ctx.launch)
    return *grads, None, None, None


_window_attention.register_autograd(_backward, setup_context=_keep)

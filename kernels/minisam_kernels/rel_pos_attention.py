"""Attention with decomposed relative positions over a whole grid, fused: SAM's global layers.

    out = softmax(scale q kᵀ + bias) v        bias[l, (i, j)] = rel_h[l, i] + rel_w[l, j]

The bias is an outer sum: H + W numbers per query instead of H·W. The kernel takes the keys one grid row i at a time.
For one row, rel_h[:, i] is one number per query; rel_w is the same [M, W] tile for all rows and is loaded once. The
loop over key rows therefore reads one column of rel_h and nothing else of the bias, and its arithmetic is

    weights = exp2(q kᵀ · c + rel_w − (row_max − rel_h[:, i])),        c = scale · log2 e

one multiply-add and one subtraction per score, as in a softmax without bias. Columns beyond the grid's edge have
rel_w = −inf: the mask is part of the bias and costs nothing. A row wider than a tile is split into blocks of columns,
each with its own rel_w. A row that fits into a tile needs no loop over such blocks: WHOLE_ROWS leaves it out, which
saves up to a third of the registers. A tile has a power of two of columns, at least 16; a narrower row wastes the rest:
a fifth for 26 columns, half for 8, nothing for SAM's 64.

Bytes     In a 64 x 64 grid the bias has 4096² entries per head: 403 MB in bfloat16 for the 12 heads of ViT-B, which
          would be written and read again. rel_h and rel_w are 12.6 MB. Backward needs the log-sum-exp, 4 bytes per
          query; it is stored in base 2, like the kernels' exponents.
Symbols   B batch   N heads   H, W grid   L = H·W tokens   D head dim   M queries and K keys of one tile
Ladder    reference/rel_pos_attention.py -> minisam/model/rel_pos_attention.py -> attention.py -> here
          -> rel_pos_attention_backward.py
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
    as_one_projection,
    dot_rows,
    empty_heads,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, check_head_dim, check_shape, check_tensors, chosen, launch_on
from minisam_kernels.rel_pos_attention_backward import key_block, rel_pos_attention_backward
from minisam_kernels.tuned_launches import launch_of

LOG2E = tl.constexpr(1.4426950408889634)

LAUNCHES = {
    "half": Launch(block_m=128, block_k=64, num_warps=8, num_stages=2),
    "hopper": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "single": Launch(block_m=16, block_k=32, num_warps=4, num_stages=1),
}
WIDE_HEADS = LAUNCHES | {
    "half": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "hopper": Launch(block_m=64, block_k=64, num_warps=4, num_stages=2),
}
"""For more than 64 channels per head: with the others, values would not fit into the registers, or one program alone
would fit on a multiprocessor."""


@triton.jit
def _rel_pos_attention_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, lse_ptr,
    scale, H, W, stride_batch, stride_head, stride_token, stride_grid_row,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
    WHOLE_ROWS: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and processes the keys one grid row after the other."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    L, num_heads = H * W, tl.num_programs(1)
    head, batch = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    head_start = batch * stride_batch + head * stride_head
    tokens = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    token_ok = tokens < L
    rows = (batch * num_heads + head) * L + tokens  # of rel_h, rel_w and lse

    q, q_tail = load_rows(q_ptr + head_start + tokens * stride_token, token_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    for first in range(0, BLOCK_K if WHOLE_ROWS else W, BLOCK_K):
        columns = first + tl.arange(0, BLOCK_K)
        column_ok = columns < W
        inside = token_ok[:, None] & column_ok[None, :]
        rel_w = tl.load(rel_w_ptr + rows[:, None] * W + columns[None, :], mask=inside, other=0.0)  # [M, K]
        rel_w = tl.where(column_ok[None, :], rel_w.to(ACC) * LOG2E, float("-inf"))
        keys = head_start + columns.to(tl.int64) * stride_token
        for i in range(H):
            rel_h = tl.load(rel_h_ptr + rows * H + i, mask=token_ok, other=0.0).to(ACC) * LOG2E  # [M]
            k, k_tail = load_rows(k_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
            v, v_tail = load_rows(v_ptr + keys, column_ok, D, BLOCK_D, TAIL_D)  # [K, D]
            scores = dot_rows(q, q_tail, k, k_tail, TAIL_D) * (scale * LOG2E) + rel_w  # [M, K]

            new_max = tl.maximum(row_max, tl.max(scores, axis=1) + rel_h)
            weights = tl.exp2(scores - (new_max - rel_h)[:, None])
            rescale = tl.exp2(row_max - new_max)
            row_sum = row_sum * rescale + tl.sum(weights, axis=1)
            acc = acc * rescale[:, None]
            if TAIL_D > 0:
                acc_tail = acc_tail * rescale[:, None]
            acc, acc_tail = add_weighted_rows(acc, acc_tail, weights, v, v_tail, TAIL_D)
            row_max = new_max
            keys += stride_grid_row

    out = out_ptr + ((batch * L + tokens) * num_heads + head) * D
    store_rows(out, token_ok, acc / row_sum[:, None], acc_tail / row_sum[:, None], D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + rows, row_max + tl.log2(row_sum), mask=token_ok)


def rel_pos_attention(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float, *, launch: str | None = None
) -> Tensor:
    """q, k, v [B, N, H*W, D], rel_h [B, N, H*W, H] and rel_w [B, N, H*W, W] -> [B, N, H*W, D]; D in 16, 24, … 128.

    rel_h and rel_w are the unscaled q·R. If q, k and v are views of one projection, they are read in place. The heads
    of the result are contiguous: transpose(1, 2).flatten(2) copies nothing. `launch` is one of LAUNCHES, by
    default the one made for q's type and device. Raises ValueError where there is no kernel.
    """
    check_tensors("rel_pos_attention", q=q, k=k, v=v, rel_h=rel_h, rel_w=rel_w)
    if q.ndim != 4 or rel_h.ndim != 4 or rel_w.ndim != 4:
        raise ValueError(
            "rel_pos_attention: q must be [B, N, H*W, D], rel_h [B, N, H*W, H] and rel_w [B, N, H*W, W], got "
            f"{list(q.shape)}, {list(rel_h.shape)} and {list(rel_w.shape)}"
        )
    B, N, L, D = q.shape
    H, W = rel_h.shape[-1], rel_w.shape[-1]
    check_head_dim("rel_pos_attention", D)
    if H * W != L:
        raise ValueError(
            f"rel_pos_attention: a grid of {H} x {W} does not have {L} tokens; q must be [B, N, H*W, D]"
        )
    check_shape("rel_pos_attention", "k", k, (B, N, L, D))
    check_shape("rel_pos_attention", "v", v, (B, N, L, D))
    check_shape("rel_pos_attention", "rel_h", rel_h, (B, N, L, H))
    check_shape("rel_pos_attention", "rel_w", rel_w, (B, N, L, W))
    return _rel_pos_attention(q, k, v, rel_h, rel_w, float(scale), launch or launch_on(q))[0]


@torch.library.custom_op(
    "minisam::rel_pos_attention",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor rel_h, Tensor rel_w, float scale, str launch)"
    " -> (Tensor, Tensor)",
)
def _rel_pos_attention(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor]:
    q, k, v = as_one_projection(q, k, v)
    B, N, L, D = q.shape
    hand_picked = chosen(LAUNCHES if D <= 64 else WIDE_HEADS, launch)
    choice = launch_of("rel_pos_attention", hand_picked, launch, D, q)
    H, W = rel_h.shape[-1], rel_w.shape[-1]
    columns = key_block(choice, W)
    out = empty_heads(q)
    lse = torch.empty((B, N, L), dtype=sum_type(q.dtype), device=q.device)
    if out.numel():
        _rel_pos_attention_kernel[(triton.cdiv(L, choice.block_m), N, B)](
            q, k, v, rel_h.contiguous(), rel_w.contiguous(), out, lse,
            scale, H, W, *q.stride()[:3], W * q.stride(2),
            **head_tiles(D), **{**choice.options(), "BLOCK_K": columns}, WHOLE_ROWS=columns >= W,
        )  # fmt: skip
    return out, lse


@_rel_pos_attention.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor]:
    return empty_heads(q), q.new_empty(q.shape[:3], dtype=sum_type(q.dtype))


def _keep(ctx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale, ctx.launch = inputs
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx, grad_out: Tensor, _grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    grads = rel_pos_attention_backward(*ctx.saved_tensors, grad_out, ctx.scale, ctx.launch)
    return *grads, None, None


_rel_pos_attention.register_autograd(_backward, setup_context=_keep)

"""Cross-attention: few queries over many keys, or many over few, fused.

    out = softmax(scale q kᵀ) v

attention.py has one program per block of queries. In SAM's decoder, 7 prompt tokens attend to 4096 image positions:
one block, and for 8 heads 8 programs, on a GPU that runs hundreds at a time. With few queries, the keys are therefore
split into parts (split-K). Each part is an attention with its own log-sum-exp, and the results combine exactly:

    lse = log sum_p exp(lse[p])        out = sum_p exp(lse[p] - lse) out[p]

A second, small kernel combines them, part after part in a fixed order. The number of parts depends only on L and S.
The bits are therefore the same in every run, for an image alone or in a batch.

Tokens are read in the layout of a projection's output, [B, L, N, D]: splitting the heads copies nothing.

Bytes     k and v once, B N S D numbers each; the parts' results, (D + 1) 4-byte numbers per query and part.
Symbols   B batch   N heads   L queries   S keys   D head dim   P parts   M queries and K keys of one tile
Ladder    reference/cross_attention.py -> minisam/model/attention.py -> attention.py -> here
          -> cross_attention_backward.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.attention import check_key_shapes, sum_type
from minisam_kernels.cross_attention_backward import FEW, NARROW, cross_attention_backward, tokens_per_part
from minisam_kernels.head_tiles import (
    add_weighted_rows,
    dot_rows,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, check_tensors, chosen, joined, pieces

LAUNCHES = {
    "few, half": Launch(block_m=16, block_k=64, num_warps=4, num_stages=2),
    "few, single": Launch(block_m=16, block_k=32, num_warps=4, num_stages=2),
    "many, half": Launch(block_m=128, block_k=32, num_warps=8, num_stages=2),
    "many, single": Launch(block_m=32, block_k=16, num_warps=4, num_stages=2),
}
NARROW_HEADS = LAUNCHES | {"few, half": Launch(block_m=16, block_k=64, num_warps=1, num_stages=2)}
"""For heads narrower than NARROW: a tile of 16 queries and 16 channels is one warp's, and four would all compute it."""


@triton.jit
def _cross_attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, scale, B, L, S, keys_per_part,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and streams one part of the keys past them."""
    ACC: tl.constexpr = tl.float64 if q_ptr.dtype.element_ty == tl.float64 else tl.float32
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    part, batch = tl.program_id(2) // B, (tl.program_id(2) % B).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    asked = (batch * L + rows) * num_heads + head

    q, q_tail = load_rows(q_ptr + asked * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

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

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        weights = tl.exp(scores - new_max[:, None])
        rescale = tl.exp(row_max - new_max)
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None]
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None]
        acc, acc_tail = add_weighted_rows(acc, acc_tail, weights, v, v_tail, TAIL_D)
        row_max = new_max

    of_part = asked + part.to(tl.int64) * B * L * num_heads
    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + of_part * D, row_ok, out, out_tail, D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + of_part, row_max + tl.log(row_sum), mask=row_ok)


@triton.jit
def _join_parts_kernel(
    part_out_ptr, part_lse_ptr, out_ptr, lse_ptr, P, L,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and combines their results from the P parts of the keys."""
    ACC: tl.constexpr = part_lse_ptr.dtype.element_ty
    head, num_heads = tl.program_id(1), tl.num_programs(1)
    batch, B = tl.program_id(2).to(tl.int64), tl.num_programs(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    asked = (batch * L + rows) * num_heads + head

    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, D]

    of_part = asked
    for _ in range(P):
        lse = tl.load(part_lse_ptr + of_part, mask=row_ok, other=0.0)  # [M]
        out, out_tail = load_rows(part_out_ptr + of_part * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, D]
        new_max = tl.maximum(row_max, lse)
        weight = tl.exp(lse - new_max)
        rescale = tl.exp(row_max - new_max)
        row_sum = row_sum * rescale + weight
        acc = acc * rescale[:, None] + weight[:, None] * out
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None] + weight[:, None] * out_tail
        row_max = new_max
        of_part += B * L * num_heads

    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + asked * D, row_ok, out, out_tail, D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + asked, row_max + tl.log(row_sum), mask=row_ok)


def cross_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, *, launch: str | None = None) -> Tensor:
    """softmax(scale q kᵀ) v for q [B, N, L, D] and k, v [B, N, S, D], D in 16, 24, 32, … 128; returns [B, N, L, D].

    `launch` is one of LAUNCHES, by default the one made for L queries of q's type. A transposed view of [B, tokens,
    N, D] is read in place, without a copy, and the result is a view of the same kind.
    Raises ValueError where there is no kernel.
    """
    check_tensors("cross_attention", q=q, k=k, v=v)
    check_key_shapes("cross_attention", q, k, v)
    tokens = (x.transpose(1, 2) for x in (q, k, v))
    return _cross_attention(*tokens, float(scale), launch or launch_for(q.shape[2], q.dtype))[0].transpose(
        1, 2
    )


def launch_for(queries: int, dtype: torch.dtype) -> str:
    """Chosen by the number of queries, and by whether tensor cores can multiply the type."""
    return f"{'few' if queries <= FEW else 'many'}, {'half' if dtype.itemsize == 2 else 'single'}"


@torch.library.custom_op(
    "minisam::cross_attention",
    mutates_args=(),
    schema="(Tensor q_blnd, Tensor k_bsnd, Tensor v_bsnd, float scale, str launch) -> (Tensor, Tensor)",
)
def _cross_attention(
    q_blnd: Tensor, k_bsnd: Tensor, v_bsnd: Tensor, scale: float, launch: str
) -> tuple[Tensor, Tensor]:
    q, k, v = q_blnd.contiguous(), k_bsnd.contiguous(), v_bsnd.contiguous()
    B, L, N, D = q.shape
    choice = chosen(NARROW_HEADS if D < NARROW else LAUNCHES, launch)
    S = k.shape[1]
    keys_per_part = tokens_per_part(S, asked_by=L)
    parts = triton.cdiv(S, keys_per_part)
    if several := pieces(B, parts):
        out, lse = joined(_cross_attention(q[own], k[own], v[own], scale, launch) for own in several)
        return out, lse
    out = torch.empty_like(q)
    lse = torch.empty((B, L, N), dtype=sum_type(q.dtype), device=q.device)
    if out.numel() == 0:
        return out, lse

    part_out, part_lse = out, lse
    if parts > 1:
        part_out = torch.empty((parts, B, L, N, D), dtype=lse.dtype, device=q.device)
        part_lse = torch.empty((parts, B, L, N), dtype=lse.dtype, device=q.device)
    blocks = triton.cdiv(L, choice.block_m)
    _cross_attention_kernel[(blocks, N, parts * B)](
        q, k, v, part_out, part_lse, scale, B, L, S, keys_per_part, **head_tiles(D), **choice.options()
    )
    if parts > 1:
        _join_parts_kernel[(blocks, N, B)](
            part_out, part_lse, out, lse, parts, L, **head_tiles(D), BLOCK_M=choice.block_m
        )
    return out, lse


@_cross_attention.register_fake
def _(q_blnd: Tensor, k_bsnd: Tensor, v_bsnd: Tensor, scale: float, launch: str) -> tuple[Tensor, Tensor]:
    return q_blnd.new_empty(q_blnd.shape), q_blnd.new_empty(q_blnd.shape[:3], dtype=sum_type(q_blnd.dtype))


def _keep(ctx, inputs: tuple[Tensor, Tensor, Tensor, float, str], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, ctx.scale, ctx.launch = inputs
    ctx.save_for_backward(q, k, v, *output)


def _backward(ctx, grad_out: Tensor, _grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, out, lse = ctx.saved_tensors
    return *cross_attention_backward(q, k, v, out, lse, grad_out, ctx.scale, ctx.launch), None, None


_cross_attention.register_autograd(_backward, setup_context=_keep)

"""Prompt tokens attend to an image that is read once and never projected: absorbed projections, fused.

    out = softmax(scale rows (y + e)ᵀ) y

In cross_attention.py the 4096 tokens of an image arrive as keys and values, which were computed for every prompt and
head. Here the image tokens arrive unprojected, and the projections are absorbed into the 7 prompt tokens: with 8
heads they make 56 rows as wide as the image's channels (reference/token_to_image.py), one tile. Key and value are the
same tile y, except for the positions e that are added to the key.

The image tokens are split into parts of a fixed size, independent of the number of rows and images. A single prompt
then keeps several programs busy, and the bits of a result do not depend on the rest of the batch. Each part has its
own softmax; a second kernel combines them in a fixed order by their log-sum-exps, as in cross_attention.py:

    lse = log Σ_p exp(lse[p])        out = Σ_p exp(lse[p] - lse) out[p]

In the first block all prompts share one image: one image with the rows of all prompts.

Bytes     the image once for every BLOCK_M rows; the parts' results, (E + 1) 4-byte numbers per row and part.
Symbols   B images   R rows   S image tokens   E channels   P parts   M rows and K image tokens of one tile
Ladder    reference/absorbed_cross_attention.py -> reference/token_to_image.py -> cross_attention.py -> here
          -> token_to_image_backward.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.attention import launch_for, sum_type
from minisam_kernels.head_tiles import (
    add_weighted_rows,
    dot_rows,
    head_tiles,
    load_rows,
    store_rows,
    zero_rows,
)
from minisam_kernels.launch import Launch, check_channels, check_shape, check_tensors, chosen, pieces
from minisam_kernels.token_to_image_backward import token_to_image_backward

TOKENS_PER_PART = 512
LAUNCHES = {
    "half": Launch(block_m=64, block_k=32, num_warps=8, num_stages=2),
    "single": Launch(block_m=16, block_k=16, num_warps=8, num_stages=1),
}
JOINED = 16  # rows per program of the second kernel


@triton.jit
def _token_to_image_kernel(
    rows_ptr, image_ptr, pe_ptr, out_ptr, lse_ptr, scale, R, S, tokens_per_part,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M rows of one image and streams one part of its tokens past them."""
    ACC: tl.constexpr = tl.float64 if rows_ptr.dtype.element_ty == tl.float64 else tl.float32
    part, image, B = tl.program_id(1), tl.program_id(2).to(tl.int64), tl.num_programs(2)
    places = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = places < R
    own = image * R + places

    rows, rows_tail = load_rows(rows_ptr + own * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, E]
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, E]

    first = part * tokens_per_part
    last = tl.minimum(first + tokens_per_part, S)
    for start in range(first, last, BLOCK_K):
        tokens = start + tl.arange(0, BLOCK_K)
        token_ok = tokens < last
        y, y_tail = load_rows(image_ptr + (image * S + tokens) * D, token_ok, D, BLOCK_D, TAIL_D)  # [K, E]
        e, e_tail = load_rows(pe_ptr + tokens * D, token_ok, D, BLOCK_D, TAIL_D)  # [K, E]
        scores = dot_rows(rows, rows_tail, y + e, y_tail + e_tail, TAIL_D) * scale  # [M, K]
        scores = tl.where(token_ok[None, :], scores, float("-inf"))

        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        weights = tl.exp(scores - new_max[:, None])
        rescale = tl.exp(row_max - new_max)
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        acc = acc * rescale[:, None]
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None]
        acc, acc_tail = add_weighted_rows(acc, acc_tail, weights, y, y_tail, TAIL_D)
        row_max = new_max

    of_part = own + part.to(tl.int64) * B * R
    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + of_part * D, row_ok, out, out_tail, D, BLOCK_D, TAIL_D)
    tl.store(lse_ptr + of_part, row_max + tl.log(row_sum), mask=row_ok)


@triton.jit
def _join_parts_kernel(
    part_out_ptr, part_lse_ptr, out_ptr, P, rows,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M rows, of any images, and combines their results from the P parts of the tokens."""
    ACC: tl.constexpr = part_lse_ptr.dtype.element_ty
    own = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = own < rows
    row_max = tl.full([BLOCK_M], float("-inf"), ACC)
    row_sum = tl.zeros([BLOCK_M], ACC)
    acc, acc_tail = zero_rows(BLOCK_M, BLOCK_D, TAIL_D, ACC)  # [M, E]

    of_part = own
    for _ in range(P):
        lse = tl.load(part_lse_ptr + of_part, mask=row_ok, other=0.0)  # [M]
        out, out_tail = load_rows(part_out_ptr + of_part * D, row_ok, D, BLOCK_D, TAIL_D)  # [M, E]
        new_max = tl.maximum(row_max, lse)
        weight = tl.exp(lse - new_max)
        rescale = tl.exp(row_max - new_max)
        row_sum = row_sum * rescale + weight
        acc = acc * rescale[:, None] + weight[:, None] * out
        if TAIL_D > 0:
            acc_tail = acc_tail * rescale[:, None] + weight[:, None] * out_tail
        row_max = new_max
        of_part += rows

    out, out_tail = acc / row_sum[:, None], acc_tail / row_sum[:, None]
    store_rows(out_ptr + own * D, row_ok, out, out_tail, D, BLOCK_D, TAIL_D)


def token_to_image(
    rows: Tensor, image: Tensor, image_pe: Tensor, scale: float, *, launch: str | None = None
) -> Tensor:
    """softmax(scale rows (image + image_pe)ᵀ) image for rows [B, R, E], image [B, S, E], image_pe [S, E].

    Returns [B, R, E]; E is one of 16, 24, 32, … 256. `launch` is one of LAUNCHES, by default the one made for the
    type. Raises ValueError where there is no kernel.
    """
    name = "token_to_image"
    check_tensors(name, rows=rows, image=image, image_pe=image_pe)
    if rows.ndim != 3 or image.ndim != 3:
        raise ValueError(
            f"{name}: rows must be [B, R, E] and image [B, S, E], got {list(rows.shape)} and {list(image.shape)}"
        )
    (B, _, E), S = rows.shape, image.shape[1]
    check_channels(name, E)
    check_shape(name, "image", image, (B, S, E))
    check_shape(name, "image_pe", image_pe, (S, E))
    if S == 0:
        raise ValueError(
            f"{name}: there are no image tokens, and a mean of none is not defined; pass one at least"
        )
    return _token_to_image(rows, image, image_pe, float(scale), launch or launch_for(rows.dtype))


@torch.library.custom_op(
    "minisam::token_to_image",
    mutates_args=(),
    schema="(Tensor rows, Tensor image, Tensor image_pe, float scale, str launch) -> Tensor",
)
def _token_to_image(rows: Tensor, image: Tensor, image_pe: Tensor, scale: float, launch: str) -> Tensor:
    choice = chosen(LAUNCHES, launch)
    rows, image, image_pe = rows.contiguous(), image.contiguous(), image_pe.contiguous()
    (B, R, E), S = rows.shape, image.shape[1]
    if several := pieces(B, 1):
        return torch.cat([_token_to_image(rows[own], image[own], image_pe, scale, launch) for own in several])
    out = torch.empty_like(rows)
    if out.numel() == 0:
        return out

    parts = triton.cdiv(S, TOKENS_PER_PART)
    part_lse = torch.empty((parts, B, R), dtype=sum_type(rows.dtype), device=rows.device)
    part_out = out
    if parts > 1:
        part_out = torch.empty((parts, B, R, E), dtype=part_lse.dtype, device=rows.device)
    _token_to_image_kernel[(triton.cdiv(R, choice.block_m), parts, B)](
        rows, image, image_pe, part_out, part_lse, scale, R, S, TOKENS_PER_PART,
        **head_tiles(E), **choice.options(),
    )  # fmt: skip
    if parts > 1:
        _join_parts_kernel[(triton.cdiv(B * R, JOINED),)](
            part_out, part_lse, out, parts, B * R, **head_tiles(E), BLOCK_M=JOINED
        )
    return out


@_token_to_image.register_fake
def _(rows: Tensor, image: Tensor, image_pe: Tensor, scale: float, launch: str) -> Tensor:
    return rows.new_empty(rows.shape)


def _keep(ctx, inputs: tuple[Tensor, Tensor, Tensor, float, str], output: Tensor) -> None:
    rows, image, image_pe, ctx.scale, _ = inputs
    ctx.save_for_backward(rows, image, image_pe)


def _backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    return *token_to_image_backward(*ctx.saved_tensors, grad_out, ctx.scale), None, None


_token_to_image.register_autograd(_backward, setup_context=_keep)

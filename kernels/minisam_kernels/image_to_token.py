"""The image attends to the prompt tokens, with residual and layer norm, in one pass over the image.

    out = layer_norm(y + Σ_heads softmax_t(scale ((y + e) rowsᵀ + offsets)) values)

The projections of the image's queries and of the heads' outputs are absorbed into the tokens
(reference/image_to_token.py). The 4096 image tokens of 256 channels are read and written once. Separate operations
would project, attend, project back, add and normalise, and move each of these results through memory.

A tile of rows holds the tokens of several heads, each head padded to a power of two: K columns of scores, with one
softmax per head. Padding tokens get the weight 0, and padding heads add zeros. SAM's 8 heads of 7 tokens are one tile
of 64. One program has all heads and channels of its image tokens. Softmax, sum over heads and layer norm therefore
need no second pass, and no program waits for another.

Bytes     the image in and out once, B S E numbers each; positions and tokens come from the cache.
Symbols   B prompts   N heads   T tokens   S image tokens   E channels   M image tokens and K columns of a tile
Ladder    reference/absorbed_cross_attention.py -> reference/image_to_token.py -> token_to_image.py -> here
          -> image_to_token_backward.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.attention import launch_for
from minisam_kernels.head_tiles import add_weighted_rows, dot_rows, head_tiles, load_rows, store_rows
from minisam_kernels.image_to_token_backward import image_to_token_backward
from minisam_kernels.launch import Launch, check_channels, check_shape, check_tensors, chosen, pieces

MOST_TOKENS = 64
LAUNCHES = {  # block_k is the least number of columns: as many heads as fit are processed together
    "half": Launch(block_m=64, block_k=64, num_warps=8, num_stages=1),
    "single": Launch(block_m=16, block_k=16, num_warps=8, num_stages=1),
}


@triton.jit
def _image_to_token_kernel(
    image_ptr, pe_ptr, rows_ptr, offsets_ptr, values_ptr, weight_ptr, bias_ptr, out_ptr,
    scale, eps, image_step, N, T, S,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M tokens of one prompt's image and attends to the tokens of a few heads at a time."""
    ACC: tl.constexpr = tl.float64 if rows_ptr.dtype.element_ty == tl.float64 else tl.float32
    prompt = tl.program_id(1).to(tl.int64)
    places = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside = places < S
    y, y_tail = load_rows(
        image_ptr + (prompt * image_step + places) * D, inside, D, BLOCK_D, TAIL_D
    )  # [M, E]
    e, e_tail = load_rows(pe_ptr + places * D, inside, D, BLOCK_D, TAIL_D)  # [M, E]
    located, located_tail = y + e, y_tail + e_tail
    updated, updated_tail = y.to(ACC), y_tail.to(ACC)

    columns = tl.arange(0, BLOCK_K)
    token = columns % BLOCK_T
    for first in range(0, N, BLOCK_K // BLOCK_T):
        head = first + columns // BLOCK_T
        there = (head < N) & (token < T)
        key_row = (prompt * N + head) * T + token
        rows, rows_tail = load_rows(rows_ptr + key_row * D, there, D, BLOCK_D, TAIL_D)  # [K, E]
        offsets = tl.load(offsets_ptr + key_row, mask=there, other=0.0)  # [K]
        scores = dot_rows(located, located_tail, rows, rows_tail, TAIL_D) + offsets[None, :]  # [M, K]
        scores = tl.where((token < T)[None, :], scores * scale, float("-inf"))
        weights = softmax_of_groups(scores, BLOCK_M, BLOCK_K, BLOCK_T)
        values, values_tail = load_rows(values_ptr + key_row * D, there, D, BLOCK_D, TAIL_D)  # [K, E]
        updated, updated_tail = add_weighted_rows(updated, updated_tail, weights, values, values_tail, TAIL_D)

    updated, updated_tail = normalise(updated, updated_tail, eps, D, BLOCK_D, TAIL_D)
    dims = tl.arange(0, BLOCK_D)
    updated = updated * tl.load(weight_ptr + dims)[None, :] + tl.load(bias_ptr + dims)[None, :]
    if TAIL_D > 0:
        dims = BLOCK_D + tl.arange(0, TAIL_D)
        weight = tl.load(weight_ptr + dims, mask=dims < D, other=0.0)
        bias = tl.load(bias_ptr + dims, mask=dims < D, other=0.0)
        updated_tail = updated_tail * weight[None, :] + bias[None, :]
    store_rows(out_ptr + (prompt * S + places) * D, inside, updated, updated_tail, D, BLOCK_D, TAIL_D)


@triton.jit
def softmax_of_groups(scores, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_T: tl.constexpr):
    """Softmax over every BLOCK_T neighbouring columns of the scores [M, K]."""
    grouped = tl.reshape(scores, [BLOCK_M, BLOCK_K // BLOCK_T, BLOCK_T])
    exponentials = tl.exp(grouped - tl.max(grouped, axis=2)[:, :, None])
    weights = exponentials / tl.sum(exponentials, axis=2)[:, :, None]
    return tl.reshape(weights, [BLOCK_M, BLOCK_K])


@triton.jit
def normalise(x, x_tail, eps, D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr):
    """Rows of D channels in two tiles [M, BLOCK_D] and [M, TAIL_D], the rest zeros, to mean 0 and variance 1."""
    total = tl.sum(x, axis=1)
    if TAIL_D > 0:
        total += tl.sum(x_tail, axis=1)
    x -= (total / D)[:, None]
    squares = tl.sum(x * x, axis=1)
    if TAIL_D > 0:
        inside = (BLOCK_D + tl.arange(0, TAIL_D) < D)[None, :]
        x_tail = tl.where(inside, x_tail - (total / D)[:, None], 0.0)
        squares += tl.sum(x_tail * x_tail, axis=1)
    inverse = tl.rsqrt(squares / D + eps)[:, None]
    return x * inverse, x_tail * inverse


def image_to_token(
    image: Tensor, image_pe: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, weight: Tensor, bias: Tensor,
    scale: float, eps: float, *, launch: str | None = None,
) -> Tensor:  # fmt: skip
    """An image [B or 1, S, E] with positions image_pe [S, E] after attending to B prompts: [B, S, E].

    rows and values [B, N, T, E] and offsets [B, N, T] are the tokens with the projections absorbed, weight and bias [E]
    and eps the layer norm's. E is one of 16, 24, 32, … 256, T at most MOST_TOKENS. `launch` is one of LAUNCHES, by
    default the one made for the type.
    Raises ValueError where there is no kernel.
    """
    name, tensors = "image_to_token", (image, image_pe, rows, offsets, values, weight, bias)
    given = dict(
        zip(("image", "image_pe", "rows", "offsets", "values", "weight", "bias"), tensors, strict=True)
    )
    check_tensors(name, **given)
    if image.ndim != 3 or rows.ndim != 4:
        raise ValueError(
            f"{name}: image must be [B or 1, S, E] and rows [B, N, T, E], "
            f"got {list(image.shape)} and {list(rows.shape)}"
        )
    (B, N, T, E), S = rows.shape, image.shape[1]
    check_channels(name, E)
    expected = {"image": (1 if image.shape[0] == 1 else B, S, E), "image_pe": (S, E), "offsets": (B, N, T)}
    for key, shape in (expected | {"values": (B, N, T, E), "weight": (E,), "bias": (E,)}).items():
        check_shape(name, key, given[key], shape)
    if T == 0 or N == 0:
        raise ValueError(f"{name}: there are no tokens, and a mean of none is not defined; pass one at least")
    if T > MOST_TOKENS:
        raise ValueError(f"{name}: {T} tokens have no kernel, {MOST_TOKENS} have; use torch for more")
    return _image_to_token(*tensors, float(scale), float(eps), launch or launch_for(rows.dtype))


@torch.library.custom_op(
    "minisam::image_to_token",
    mutates_args=(),
    schema="(Tensor image, Tensor image_pe, Tensor rows, Tensor offsets, Tensor values, Tensor weight, Tensor bias,"
    " float scale, float eps, str launch) -> Tensor",
)
def _image_to_token(
    image: Tensor, image_pe: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, weight: Tensor, bias: Tensor,
    scale: float, eps: float, launch: str,
) -> Tensor:  # fmt: skip
    choice = chosen(LAUNCHES, launch)
    tensors = [x.contiguous() for x in (image, image_pe, rows, offsets, values, weight, bias)]
    (B, N, T, E), S = rows.shape, image.shape[1]
    if several := pieces(B, 1):
        image, image_pe, rows, offsets, values, *norm = tensors
        shared = image.shape[0] == 1
        of_part = (
            (image if shared else image[own], image_pe, rows[own], offsets[own], values[own])
            for own in several
        )
        return torch.cat([_image_to_token(*one, *norm, scale, eps, launch) for one in of_part])
    out = rows.new_empty(B, S, E)
    if out.numel() == 0:
        return out

    group = triton.next_power_of_2(T)
    sizes = choice.options() | {"BLOCK_K": max(group, choice.block_k), "BLOCK_T": group}
    _image_to_token_kernel[(triton.cdiv(S, choice.block_m), B)](
        *tensors, out, scale, eps, 0 if image.shape[0] == 1 else S, N, T, S, **head_tiles(E), **sizes
    )
    return out


@_image_to_token.register_fake
def _(
    image: Tensor, image_pe: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, weight: Tensor, bias: Tensor,
    scale: float, eps: float, launch: str,
) -> Tensor:  # fmt: skip
    return rows.new_empty(rows.shape[0], *image.shape[1:])


def _keep(ctx, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.scale, ctx.eps, _ = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    return *image_to_token_backward(*ctx.saved_tensors, grad_out, ctx.scale, ctx.eps), None, None, None


_image_to_token.register_autograd(_backward, setup_context=_keep)

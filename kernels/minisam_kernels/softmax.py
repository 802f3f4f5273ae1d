"""Softmax, row by row: the first kernel to read.

    softmax(x)[i] = exp(scale x[i] - m) / sum_j exp(scale x[j] - m),     m = max_j scale x[j]
    backward      dx = scale y (dy - sum_j dy[j] y[j]),                  y = softmax(x)

As five array operations (scale, maximum, exponential, sum, division), each operation reads the whole array from
memory and most of them write it back. Here a program holds entire rows on the chip: it reads them once, does all the
arithmetic, and writes them once. Softmax does very little arithmetic per number, and its time depends only on the
bytes it moves.

Bytes     R rows of N numbers: 2 R N numbers forward, 3 R N backward; five operations: about 8 R N and 8 R N.
Symbols   R rows   N numbers in a row   M rows of one program   K the power of two that holds N
Ladder    reference/softmax.py -> here -> attention.py, where a row no longer fits
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.launch import Launch, check_tensors, chosen

# For rows up to block_k numbers, block_m rows per program: about 4096 numbers at a time.
LAUNCHES = {
    "narrow": Launch(block_m=16, block_k=256, num_warps=4),
    "medium": Launch(block_m=2, block_k=2048, num_warps=4),
    "wide": Launch(block_m=1, block_k=65536, num_warps=16),
}
WIDEST = LAUNCHES["wide"].block_k


@triton.jit
def _softmax_kernel(x_ptr, y_ptr, scale, R, N, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr):
    """One program owns BLOCK_M whole rows."""
    ACC: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_K)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    offsets = rows.to(tl.int64)[:, None] * N + columns[None, :]

    # Values beyond a row's end must not affect the maximum or the sum: exp(-inf) = 0. Rows beyond the last
    # one are all zeros, because a row of only -inf would give NaN.
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(ACC)  # [M, K]
    scores = tl.where((columns < N)[None, :], x * scale, float("-inf"))

    row_max = tl.max(scores, axis=1)  # [M]
    exponentials = tl.exp(scores - row_max[:, None])
    row_sum = tl.sum(exponentials, axis=1)  # [M]

    y = exponentials / row_sum[:, None]
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _softmax_backward_kernel(
    y_ptr, grad_y_ptr, grad_x_ptr, scale, R, N, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    """One program owns BLOCK_M whole rows; the gradient needs y, but not x."""
    ACC: tl.constexpr = tl.float64 if y_ptr.dtype.element_ty == tl.float64 else tl.float32
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_K)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    offsets = rows.to(tl.int64)[:, None] * N + columns[None, :]

    y = tl.load(y_ptr + offsets, mask=inside, other=0.0).to(ACC)  # [M, K]
    grad_y = tl.load(grad_y_ptr + offsets, mask=inside, other=0.0).to(ACC)  # [M, K]

    # The weights of a row always sum to one; adding a constant to its grad_y has no effect.
    shared = tl.sum(grad_y * y, axis=1)  # [M]
    grad_x = scale * y * (grad_y - shared[:, None])
    tl.store(grad_x_ptr + offsets, grad_x.to(grad_x_ptr.dtype.element_ty), mask=inside)


def softmax(x: Tensor, scale: float = 1.0, *, launch: str | None = None) -> Tensor:
    """softmax(scale * x) over the last axis of x [..., N], N up to 65536; -inf gives weight 0.

    `launch` is one of LAUNCHES, by default the one made for rows of N numbers.
    Raises ValueError where x has no kernel.
    """
    check_tensors("softmax", x=x)
    if x.ndim == 0 or x.shape[-1] > WIDEST:
        raise ValueError(
            f"softmax: x must be [..., N] with N up to {WIDEST}, got {list(x.shape)}; use torch.softmax for wider rows"
        )
    return _softmax(x, float(scale), launch or launch_for(x.shape[-1]))


def launch_for(length: int) -> str:
    """The first launch whose rows are long enough."""
    return next(name for name, launch in LAUNCHES.items() if length <= launch.block_k)


@torch.library.custom_op(
    "minisam::softmax", mutates_args=(), schema="(Tensor x, float scale, str launch) -> Tensor"
)
def _softmax(x: Tensor, scale: float, launch: str) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    _launch(_softmax_kernel, (x, y), scale, launch)
    return y


@torch.library.custom_op(
    "minisam::softmax_backward",
    mutates_args=(),
    schema="(Tensor y, Tensor grad_y, float scale, str launch) -> Tensor",
)
def _softmax_backward(y: Tensor, grad_y: Tensor, scale: float, launch: str) -> Tensor:
    grad_y = grad_y.contiguous()
    grad_x = torch.empty_like(y)
    _launch(_softmax_backward_kernel, (y, grad_y, grad_x), scale, launch)
    return grad_x


def _launch(kernel, tensors: tuple[Tensor, ...], scale: float, launch: str) -> None:
    choice, N = chosen(LAUNCHES, launch), tensors[0].shape[-1]
    if tensors[0].numel() == 0:
        return
    R = tensors[0].numel() // N
    options = {**choice.options(), "BLOCK_K": triton.next_power_of_2(N)}
    kernel[(triton.cdiv(R, choice.block_m),)](*tensors, scale, R, N, **options)


@_softmax.register_fake
def _(x: Tensor, scale: float, launch: str) -> Tensor:
    return x.new_empty(x.shape)


@_softmax_backward.register_fake
def _(y: Tensor, grad_y: Tensor, scale: float, launch: str) -> Tensor:
    return y.new_empty(y.shape)


def _keep(ctx, inputs: tuple[Tensor, float, str], output: Tensor) -> None:
    ctx.save_for_backward(output)
    ctx.scale, ctx.launch = inputs[1:]


def _backward(ctx, grad_y: Tensor) -> tuple[Tensor, None, None]:
    (y,) = ctx.saved_tensors
    return _softmax_backward(y, grad_y, ctx.scale, ctx.launch), None, None


_softmax.register_autograd(_backward, setup_context=_keep)

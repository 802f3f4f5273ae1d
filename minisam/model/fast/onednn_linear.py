"""Linear layers and products of large float32 matrices on a CPU, by oneDNN if it is faster than MKL.

    F.linear(x, W, b) = x Wᵀ + b

torch computes F.linear with MKL, which does not use the widest instructions on processors from other makers than
Intel: there, oneDNN takes half the time.  On an Intel Xeon MKL is faster, by a few percent in the layers and by a
third in the decoder's products.  Within a function marked `@faster_linear_layers`, all calls of F.linear (from every
nn.Linear) use the faster of the two; layers, hooks and wrappers are called as usual.

oneDNN is reached through the operation that torch's compiler uses for a linear layer.  A 1 × 1 convolution also uses
oneDNN, but only with two threads or more, and was slower in every measured case: up to a quarter in layers, several
times in products of two activations.  The operation has no gradient, which is therefore defined here.

M rows   K channels in   N channels out
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit._trace import is_tracing
from torch.overrides import TorchFunctionMode

FEWEST_MULTIPLICATIONS = 2**22  # below, oneDNN's preparations take longer than they save
AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
Given = ParamSpec("Given")
Result = TypeVar("Result")


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN computes large float32 products faster than F.linear on this processor."""
    cpuinfo = Path("/proc/cpuinfo")
    processor = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else platform.processor()
    return AVAILABLE and torch.backends.mkl.is_available() and "AuthenticAMD" in processor


def faster_linear_layers(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A decorator: F.linear in the function uses the faster code, unless operations are recorded."""

    @wraps(function)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        if is_recorded() or not onednn_is_faster():
            return function(*args, **kwargs)
        with LinearByOneDNN():
            return function(*args, **kwargs)

    return run


def is_recorded() -> bool:
    """Whether operations are recorded: by a compiler, a tracer, a transform of torch.func, a global hook."""
    return bool(
        torch.compiler.is_compiling()
        or is_tracing()
        or torch._C._are_functorch_transforms_active()
        or nn.modules.module._has_any_global_hook()
    )


class LinearByOneDNN(TorchFunctionMode):
    """Within this block, F.linear is `linear`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (linear if func is F.linear else func)(*args, **(kwargs or {}))


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear: input [..., K], weight [N, K], bias [N] -> [..., N]; large float32 ones of a CPU by oneDNN."""
    by_onednn = (
        AVAILABLE
        and input.dtype == weight.dtype == torch.float32
        and input.device.type == "cpu"
        and input.numel() * weight.shape[0] >= FEWEST_MULTIPLICATIONS
        and not torch.is_autocast_enabled("cpu")
    )
    if not by_onednn:
        return F.linear(input, weight, bias)
    rows = input.reshape(-1, input.shape[-1])
    return OneDNNLinear.apply(rows, weight, bias).reshape(*input.shape[:-1], -1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a [M, K], b [K, N] -> [M, N], by F.linear."""
    return F.linear(a, b.T)


class OneDNNLinear(torch.autograd.Function):
    """x [M, K], weight [N, K], bias [N] -> [M, N], for any size."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (out,) = ctx.saved_tensors, gradients
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            linear(out, weight.T) if to_x else None,
            linear(out.T, x.T) if to_weight else None,
            out.sum(dim=0) if to_bias else None,
        )

"""Products of large float32 matrices on a CPU, by oneDNN where torch has it.

    linear(x, W, b) = x Wᵀ + b        product(A, B) = A B = linear(A, Bᵀ)

torch hands such products to MKL, which does without the widest instructions on processors that are not Intel's.
oneDNN takes half the time there, and elsewhere about as long.  The one way to it that is open to any two matrices and
any number of threads is the operation that torch's compiler puts in for a linear layer.  It lacks a gradient, which
is written here.  `minisam bench decoder` shows what it brings.

M rows   K channels in   N channels out
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST_MULTIPLICATIONS = 2**22  # below, oneDNN's preparations take longer than they save
AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(a: Tensor, b: Tensor) -> Tensor:
    """a [M, K], b [K, N] -> [M, N]."""
    return linear(a, b.T)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear of a matrix: x [M, K], weight [N, K], bias [N] -> [M, N]."""
    by_onednn = (
        AVAILABLE
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and x.shape[0] * weight.numel() >= FEWEST_MULTIPLICATIONS
        and not torch.is_autocast_enabled("cpu")
    )
    return OneDNNLinear.apply(x, weight, bias) if by_onednn else F.linear(x, weight, bias)


class OneDNNLinear(torch.autograd.Function):
    """`linear`, whatever the size."""

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
            product(out, weight) if to_x else None,
            product(out.T, x) if to_weight else None,
            out.sum(dim=0) if to_bias else None,
        )

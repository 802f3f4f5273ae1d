"""Muon: each step is the orthogonalised momentum (Jordan et al. 2024).

    M ← μ M + (1 − μ) G                                  G: gradient of a matrix W [a, b]
    U = orthogonal(μ M + (1 − μ) G)                      Nesterov's look ahead
    W ← (1 − lr · decay) W − lr · 0.2 √max(a, b) · U     the root mean square of an AdamW step

With G = P Σ Qᵀ, orthogonal(G) = P Qᵀ: every direction of the matrix gets a step of the same length.  No decomposition
is needed: Newton–Schulz iterations of an odd polynomial move all singular values towards 1,

    X ← α X + β (X Xᵀ) X + γ (X Xᵀ)² X,   X₀ = G / ‖G‖

and five of them with the α, β, γ below bring all but the smallest near 1.

`torch.optim.Muon` does the same in bfloat16, which is slow on processors without bfloat16 instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

POLYNOMIAL = (3.4445, -4.775, 2.0315)
ITERATIONS = 5
EPSILON = 1e-7


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [a, b] float32 -> P Qᵀ of its singular value decomposition P Σ Qᵀ, roughly; 0 -> 0."""
    alpha, beta, gamma = POLYNOMIAL
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=EPSILON)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=beta, alpha=gamma), x, beta=alpha)
    return x.T if tall else x


class Muon(optim.Optimizer):
    """For matrices [a, b] only; steps have the same size as AdamW's, and similar learning rates work for both.

    Raises ValueError for a parameter that is not a matrix.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() != 2:
                    raise ValueError(
                        f"Muon is only for matrices, got a parameter of {parameter.dim()} dimensions"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.step_of(
                        parameter, parameter.grad, group["lr"], group["weight_decay"], group["momentum"]
                    )
        return loss

    def step_of(
        self, parameter: Tensor, grad: Tensor, lr: float, weight_decay: float, momentum: float
    ) -> None:
        """One matrix's step, in place."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        mean = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = orthogonal(grad.lerp(mean, momentum))
        parameter.mul_(1 - lr * weight_decay)
        parameter.add_(update, alpha=-lr * 0.2 * max(parameter.shape) ** 0.5)

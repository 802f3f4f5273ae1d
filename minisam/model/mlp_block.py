"""The MLP of two layers inside every transformer block: linear, activation, linear."""

from __future__ import annotations

from torch import Tensor, nn


class MLPBlock(nn.Module):
    """[..., embedding_dim] -> [..., embedding_dim], through `mlp_dim` hidden channels.

    `act` is GELU in the image encoder and ReLU in the mask decoder.
    """

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(x)))

"""Drop path (stochastic depth): in training, a residual branch is skipped for some samples of the batch.

    y = x + keep / (1 − rate) · branch(x)        keep ~ Bernoulli(1 − rate), drawn for each sample

The SAM paper trains its encoder with it (section A: rate 0.4 for ViT-H); the released code has none.
"""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Scale or zero a residual branch [B, ...]; the identity in evaluation and at rate 0."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return branch
        keep = branch.new_empty((branch.shape[0],) + (1,) * (branch.dim() - 1)).bernoulli_(1.0 - self.rate)
        return branch * keep / (1.0 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"

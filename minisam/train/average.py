"""A moving average of the weights (EMA), which is evaluated during training and saved at the end.

    average <- d · average + (1 − d) · weights        d = min(decay, (1 + t) / (10 + t)) after t steps

It has a similar effect to a lower learning rate, but at any time (Polyak and Juditsky 1992). The small d of the first
steps removes the influence of the initial weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from minisam.model import Sam


class WeightAverage:
    """The average of a Sam's parameters and buffers, on its device."""

    def __init__(self, sam: Sam, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in sam.state_dict().items()}

    @torch.no_grad()
    def update(self, sam: nn.Module, step: int) -> None:
        """Update the average with the weights after `step` steps."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in sam.state_dict().items():
            self.values[name].lerp_(value, weight)

    def averaged(self, sam: Sam) -> Sam:
        """A copy of `sam` with the average as its weights, in evaluation mode."""
        other = copy.deepcopy(sam).eval()
        other.load_state_dict(self.values)
        return other

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Continue from saved values."""
        self.values = {name: value.clone() for name, value in values.items()}

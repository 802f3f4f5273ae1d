"""Layer norm over the channels of an image, at each pixel separately.

y[c] = weight[c] · (x[c] − mean) / sqrt(variance + eps) + bias[c]     mean, variance over the channels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """[B, C, H, W] -> [B, C, H, W].  SAM uses eps = 1e-6 here, unlike the 1e-5 of its decoder's `nn.LayerNorm`."""

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )

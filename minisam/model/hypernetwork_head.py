"""Hypernetwork mask heads: each mask token predicts the weights of a per-pixel linear classifier.

mask[m, y, x] = f_m(token_m) · upscaled[:, y, x]            f_m a small MLP   (SAM section A; MaskFormer)
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HypernetworkHead(nn.Module):
    """An MLP of `num_layers` linear layers with ReLU between them, [..., input_dim] -> [..., output_dim].

    It computes the pixel weights of one mask; the head of the predicted IoU has the same class. segment-anything
    calls it `MLP`.
    """

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int, sigmoid_output: bool = False
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.sigmoid_output = sigmoid_output

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        x = self.layers[-1](x)
        return x.sigmoid() if self.sigmoid_output else x


def hypernetwork_weights(heads: nn.ModuleList, mask_tokens: Tensor, chosen: slice = slice(None)) -> Tensor:
    """The pixel weights [B, chosen, C] of the `chosen` ones among mask tokens [B, M, E], each by its own head."""
    pairs = list(zip(heads, mask_tokens.unbind(1), strict=False))[chosen]
    return torch.stack([head(token) for head, token in pairs], dim=1)


def hypernetwork_masks(weights: Tensor, upscaled: Tensor) -> Tensor:
    """weights [B, M, C] · upscaled embedding [B, C, h, w] -> mask logits [B, M, h, w]."""
    return (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])

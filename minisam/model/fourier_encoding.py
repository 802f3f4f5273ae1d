"""Random Fourier features of positions (Tancik et al. 2020; SAM section A).

    encode(x, y) = [sin(2π c·G), cos(2π c·G)]        c = 2·(x, y) − 1,  x and y in [0, 1],  G ~ N(0, scale²)

One random matrix G [2, F], drawn once and saved with the weights, encodes both the points of a prompt and the grid of
image tokens: a point and the token under it have similar encodings.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierEncoding(nn.Module):
    """Positions -> 2·`num_pos_feats` features.  segment-anything's name for it is `PositionEmbeddingRandom`."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int = 64, scale: float | None = None) -> None:
        super().__init__()
        if scale is None or scale <= 0.0:
            scale = 1.0
        self.register_buffer("positional_encoding_gaussian_matrix", scale * torch.randn(2, num_pos_feats))

    def encode(self, coords: Tensor) -> Tensor:
        """Positions [..., 2] as (x, y) in [0, 1] -> [..., 2·F]."""
        angles = 2 * math.pi * ((2 * coords - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def _pe_encoding(self, coords: Tensor) -> Tensor:
        """`encode` under segment-anything's name, which its users call and its subclasses override."""
        return self.encode(coords)

    def forward(self, size: tuple[int, int]) -> Tensor:
        """The centres of a grid of (H, W) cells -> [2·F, H, W]."""
        like = self.positional_encoding_gaussian_matrix
        h, w = size
        y = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / h
        x = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / w
        centres = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return self._pe_encoding(centres).permute(2, 0, 1)

    def forward_with_coords(self, coords_input: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Pixel positions [..., 2] as (x, y) on an image of (H, W) pixels -> [..., 2·F]."""
        H, W = image_size
        like = self.positional_encoding_gaussian_matrix
        # Created on the device: a copy to it would make the CPU wait.
        size = torch.cat([like.new_full((1,), length) for length in (W, H)])
        return self._pe_encoding(coords_input.to(like.dtype) / size)

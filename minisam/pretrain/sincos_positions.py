"""Fixed positions of a grid by sines and cosines in two dimensions (MAE; Vaswani et al. 2017, section 3.5).

    ω_k = 10000^(−k / (D/4))                          k = 0 … D/4 − 1
    position[i, j] = [sin(j·ω), cos(j·ω), sin(i·ω), cos(i·ω)]

The first half of the channels encodes the column j of a token, the second half its row i.

H, W grid   D channels, a multiple of four
"""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def sincos_positions(grid: tuple[int, int], dim: int) -> Tensor:
    """[H, W, dim] in float32, computed in float64.

    Raises ValueError if `dim` is not a multiple of four.
    """
    if dim % 4:
        raise ValueError(
            f"sine and cosine positions in two dimensions need a multiple of 4 channels, got {dim}"
        )
    H, W = grid
    frequencies = TEMPERATURE ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    rows, columns = (waves(torch.arange(size), frequencies) for size in grid)
    positions = torch.cat([columns[None, :].expand(H, W, -1), rows[:, None].expand(H, W, -1)], dim=-1)
    return positions.float()


def waves(places: Tensor, frequencies: Tensor) -> Tensor:
    """[n] positions -> [n, D/2]: the sines of all frequencies, then their cosines."""
    angles = places[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)

"""The sine encoding of positions in a map: half of the channels for y, half for x (Carion et al. 2020, DETR).

    p = 2π · (index + 1) / (cells + 10⁻⁶)
    channels of one axis, in pairs i = 0, 1, …:  sin(p / T^(2i / n)), cos(p / T^(2i / n))        T = 10⁴

n channels of one axis, half of C
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def sine_positions(grid: tuple[int, int], channels: int, device: torch.device | str = "cpu") -> Tensor:
    """[C, h, w] for a map of `grid` (h, w); C must be a multiple of 4."""
    y, x = (axis_encoding(cells, channels // 2, device) for cells in grid)
    return torch.cat([y[:, :, None].expand(-1, -1, grid[1]), x[:, None, :].expand(-1, grid[0], -1)])


def axis_encoding(cells: int, channels: int, device: torch.device | str) -> Tensor:
    """[n, cells]."""
    place = 2 * math.pi * torch.arange(1, cells + 1, device=device) / (cells + 1e-6)
    pair = torch.arange(channels, device=device) // 2
    angle = place / (TEMPERATURE ** (2 * pair / channels))[:, None]
    return torch.where((torch.arange(channels, device=device) % 2 == 0)[:, None], angle.sin(), angle.cos())

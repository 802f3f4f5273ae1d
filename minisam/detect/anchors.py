"""Anchors: boxes of a few sizes and shapes around every cell of a feature map, from which a detector starts.

    side of a square anchor   stride · scale
    width, height             side / √ratio, side · √ratio        ratio: height / width; the area stays
    centre of cell (i, j)     (j · stride, i · stride)

The centre is the corner of the cell, not its middle: offset 0, as in RSPrompter's code.  Order: cell by cell, row by
row; in a cell scale by scale, and for each scale ratio by ratio (Ren et al. 2015, section 3.1.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cell_anchors(stride: float, scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """The anchors of the cell at the origin, [scales · ratios, 4] as (x0, y0, x1, y1)."""
    root = torch.tensor(ratios, dtype=torch.float64).sqrt()
    sides = stride * torch.tensor(scales, dtype=torch.float64)
    width, height = (sides[:, None] / root).flatten(), (sides[:, None] * root).flatten()
    return torch.stack([-width, -height, width, height], dim=1).float() / 2


def grid_anchors(
    grid: tuple[int, int],
    stride: float,
    scales: Sequence[float],
    ratios: Sequence[float],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The anchors of a feature map of `grid` (h, w) cells, [h · w · scales · ratios, 4], in pixels."""
    y = torch.arange(grid[0], device=device) * stride
    x = torch.arange(grid[1], device=device) * stride
    corners = torch.cartesian_prod(y, x).flip(1).repeat(1, 2)
    return (corners[:, None] + cell_anchors(stride, scales, ratios).to(device)).flatten(0, 1)

"""Deformable attention: a token looks at a few learned places of every level, not at all tokens (Zhu et al. 2021).

    out(q) = W_o · Σ over heads, levels l and points n of  a_n · V_l(p + Δ_n / size of l)
    Δ = linear(q), in cells of the level        a = softmax over l and n of linear(q)        V: bilinear, 0 outside

p is the token's own place, from 0 to 1 across the image.

B batch   N tokens of all levels   D channels   H heads   L levels   P points
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grids = Sequence[tuple[int, int]]


class DeformableAttention(nn.Module):
    """Queries and tokens [B, N, D] on grids of several levels, one after the other -> [B, N, D]."""

    def __init__(self, dim: int, heads: int, levels: int, points: int = 4) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(dim, heads * levels * points * 2)
        self.weights = nn.Linear(dim, heads * levels * points)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.weights.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(first_offsets(heads, levels, points).flatten())

    def forward(self, queries: Tensor, tokens: Tensor, grids: Grids) -> Tensor:
        B, N, _ = queries.shape
        H, L, P = self.heads, self.levels, self.points
        offsets = self.offsets(queries).view(B, N, H, L, P, 2)
        weights = self.weights(queries).view(B, N, H, L * P).softmax(dim=3).view(B, N, H, L, P)
        size = torch.tensor([(w, h) for h, w in grids], device=queries.device)
        places = cell_places(grids, queries.device)[:, None, None, None] + offsets / size[:, None]
        values = self.value(tokens).unflatten(2, (H, -1)).split([h * w for h, w in grids], dim=1)
        total = torch.zeros((), device=queries.device)
        for level, (value, (h, w)) in enumerate(zip(values, grids, strict=True)):
            maps = value.permute(0, 2, 3, 1).reshape(B * H, -1, h, w)
            grid = places[:, :, :, level].transpose(1, 2).reshape(B * H, N, P, 2) * 2 - 1
            found = F.grid_sample(maps, grid, align_corners=False)  # [B·H, D/H, N, P]
            own = weights[:, :, :, level].transpose(1, 2).reshape(B * H, 1, N, P)
            total = total + (found * own).sum(dim=3)
        return self.out(total.view(B, -1, N).mT)


def cell_places(grids: Grids, device: torch.device) -> Tensor:
    """(x, y) from 0 to 1 of the middle of every cell of all levels, [N, 2]."""
    of_level = []
    for h, w in grids:
        y, x = ((torch.arange(cells, device=device) + 0.5) / cells for cells in (h, w))
        of_level.append(torch.cartesian_prod(y, x).flip(1))
    return torch.cat(of_level)


def first_offsets(heads: int, levels: int, points: int) -> Tensor:
    """Each head has its own direction at first, with points 1, 2, … cells away, [H, L, P, 2]."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    direction = torch.stack([angle.cos(), angle.sin()], dim=1)
    direction = direction / direction.abs().amax(dim=1, keepdim=True)
    steps = torch.arange(1, points + 1)[None, None, :, None]
    return (direction[:, None, None] * steps).expand(heads, levels, points, 2)

"""The pixel decoder of RSPrompter-query: three coarse levels look at each other, finer ones are added (Mask2Former).

    three coarsest levels: Conv1 -> GroupNorm, then layers of attention over all their cells together
    each finer level:      y = ReLU(GN(Conv3(GN(Conv1(level)) + enlarged y)))
    mask features:         Conv1 of the finest

B images   C width of the pyramid   D width of the decoder   E channels of the mask features
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.detect.deformable_attention import DeformableAttention, Grids
from minisam.detect.masked_attention import FeedForward, MaskedAttention, joined_levels
from minisam.detect.sine_positions import sine_positions

GROUPS = 32
ATTENDING = 3
LAYERS = 3


class PixelDecoder(nn.Module):
    """A pyramid [B, C, h, w], fine to coarse -> the coarsest three, [B, D, h, w], and mask features [B, E, h, w]."""

    def __init__(
        self,
        width: int,
        dim: int,
        out_dim: int,
        levels: int,
        heads: int = 8,
        hidden: int = 512,
        deformable: bool = True,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, dim, 1), nn.GroupNorm(GROUPS, dim)) for _ in range(ATTENDING)
        )
        self.level_embed = nn.Parameter(torch.randn(ATTENDING, dim))
        self.layers = nn.ModuleList(PixelLayer(dim, heads, hidden, deformable) for _ in range(LAYERS))
        finer = levels - ATTENDING
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, dim, 1, bias=False), nn.GroupNorm(GROUPS, dim))
            for _ in range(finer)
        )
        self.merge = nn.ModuleList(
            nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, dim), nn.ReLU())
            for _ in range(finer)
        )
        self.mask_features = nn.Conv2d(dim, out_dim, 1)

    def forward(self, pyramid: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        coarse = [project(one) for project, one in zip(self.project, pyramid[-ATTENDING:], strict=True)]
        grids = [(one.shape[2], one.shape[3]) for one in coarse]
        positions = torch.cat(
            [
                sine_positions(grid, one.shape[1], one.device).flatten(1).T + embed
                for grid, one, embed in zip(grids, coarse, self.level_embed, strict=True)
            ]
        )
        tokens = joined_levels(coarse)
        for layer in self.layers:
            tokens = layer(tokens, positions, grids)
        parts = tokens.split([h * w for h, w in grids], dim=1)
        memory = [part.mT.unflatten(2, grid) for part, grid in zip(parts, grids, strict=True)]
        finest = memory[0]
        finer = list(zip(pyramid[:-ATTENDING], self.lateral, self.merge, strict=True))
        for level, lateral, merge in reversed(finer):
            enlarged = F.interpolate(finest, level.shape[2:], mode="bilinear", align_corners=False)
            finest = merge(lateral(level) + enlarged)
        return memory, self.mask_features(finest)


class PixelLayer(nn.Module):
    """Attention of all cells to all levels, and a feed-forward network; norms after the sums."""

    def __init__(self, dim: int, heads: int, hidden: int, deformable: bool) -> None:
        super().__init__()
        self.attention = (
            DeformableAttention(dim, heads, ATTENDING) if deformable else MaskedAttention(dim, heads)
        )
        self.feed_forward = FeedForward(dim, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, positions: Tensor, grids: Grids) -> Tensor:
        """Tokens [B, N, D] with positions [N, D] -> [B, N, D]."""
        q = tokens + positions
        if isinstance(self.attention, DeformableAttention):
            mixed = self.attention(q, tokens, grids)
        else:
            mixed = self.attention(q, q, tokens)
        tokens = self.norm1(tokens + mixed)
        return self.norm2(tokens + self.feed_forward(tokens))

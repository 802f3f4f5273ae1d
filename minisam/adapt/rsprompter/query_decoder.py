"""The query decoder: each learned query looks for one object, and writes a prompt for it (RSPrompter, section III-D).

    layer:  masked cross-attention to one level -> self-attention -> feed-forward; norms after the sums
    levels: coarsest, middle, finest of the pixel decoder's three, and again
    point:  before the first layer and after each one, after a shared norm
        class    two linear layers                  C + 1 logits, "no object" last
        coarse   three linear layers · mask features
        tokens   three linear layers, then the sine transform: K prompt tokens
    a query of the next layer looks only where its coarse mask has a probability of 0.5 or more

B images   Q queries   D width   E prompt_dim   K prompt tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.adapt.rsprompter.prompt_head import sine_transform
from minisam.detect.masked_attention import FeedForward, MaskedAttention
from minisam.detect.sine_positions import sine_positions

LEVELS = 3


class QueryPoint(NamedTuple):
    """What the queries say at a point: logits [B, Q, C + 1], coarse masks [B, Q, h, w], tokens [B, Q, K, E]."""

    logits: Tensor
    coarse: Tensor
    tokens: Tensor


class QueryDecoder(nn.Module):
    """Three levels [B, D, h, w], fine to coarse, and mask features [B, E, h, w] -> the points."""

    def __init__(
        self,
        dim: int,
        prompt_dim: int,
        classes: int,
        queries: int = 70,
        layers: int = 6,
        heads: int = 8,
        hidden: int = 512,
        points: int = 5,
    ) -> None:
        super().__init__()
        self.points = points
        self.content, self.position = nn.Embedding(queries, dim), nn.Embedding(queries, dim)
        self.level_embed = nn.Embedding(LEVELS, dim)
        self.layers = nn.ModuleList(QueryLayer(dim, heads, hidden) for _ in range(layers))
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        self.norm = nn.LayerNorm(dim)
        self.to_class = mlp(dim, dim, classes + 1, layers=2)
        self.to_mask = mlp(dim, dim, prompt_dim, layers=3)
        self.to_tokens = mlp(dim, dim // 2, points * 2 * prompt_dim, layers=3)

    def forward(self, memory: Sequence[Tensor], mask_features: Tensor) -> list[QueryPoint]:
        coarse_to_fine = list(reversed(memory))
        keys = []
        for level, features in enumerate(coarse_to_fine):
            values = features.flatten(2).mT + self.level_embed.weight[level]
            grid = features.shape[2], features.shape[3]
            positions = sine_positions(grid, features.shape[1], features.device).flatten(1).T
            keys.append((values + positions, values, grid))
        x = self.content.weight.expand(len(mask_features), -1, -1)
        found = [self.point(x, mask_features)]
        for number, layer in enumerate(self.layers):
            key, value, grid = keys[number % LEVELS]
            allowed = attention_mask(found[-1].coarse, grid)
            x = layer(x, self.position.weight, key, value, allowed)
            found.append(self.point(x, mask_features))
        return found

    def point(self, x: Tensor, mask_features: Tensor) -> QueryPoint:
        x = self.norm(x)
        coarse = torch.einsum("bqe,behw->bqhw", self.to_mask(x), mask_features)
        numbers = self.to_tokens(x).unflatten(2, (self.points, -1))
        return QueryPoint(self.to_class(x), coarse, sine_transform(numbers))


class QueryLayer(nn.Module):
    """Queries [B, Q, D] with positions [Q, D] look at keys and values [B, S, D], then at each other."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross, self.self_attention = MaskedAttention(dim, heads), MaskedAttention(dim, heads)
        self.feed_forward = FeedForward(dim, hidden)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x: Tensor, position: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
        x = self.norm1(x + self.cross(x + position, key, value, allowed))
        x = self.norm2(x + self.self_attention(x + position, x + position, x))
        return self.norm3(x + self.feed_forward(x))


def attention_mask(coarse: Tensor, grid: tuple[int, int]) -> Tensor:
    """Coarse masks [B, Q, h, w], as logits -> which cells of a level each query may look at, [B, Q, cells]."""
    resized = F.interpolate(coarse.detach(), grid, mode="bilinear", align_corners=False)
    return (resized.sigmoid() >= 0.5).flatten(2)


def mlp(width_in: int, hidden: int, width_out: int, layers: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    widths = [width_in, *[hidden] * (layers - 1), width_out]
    stack: list[nn.Module] = []
    for first, second in pairwise(widths):
        stack += [nn.Linear(first, second), nn.ReLU()]
    return nn.Sequential(*stack[:-1])

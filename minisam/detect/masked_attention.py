"""Multi-head attention in which a query may be kept from looking at some keys.

    out = W_o · concat over heads softmax(q · kᵀ / √d  +  (0 where allowed, −∞ elsewhere)) · v

A query that may look at nothing would have no softmax; it may look everywhere instead (Cheng et al. 2022, Mask2Former).

B batch   L queries   S keys   D channels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedAttention(nn.Module):
    """q [B, L, D], k and v [B, S, D], allowed [B, L, S] bool or None -> [B, L, D]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
        if allowed is not None:
            allowed = (allowed | ~allowed.any(dim=2, keepdim=True))[:, None]
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.q, q), (self.k, k), (self.v, v))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers, [..., D] -> [..., D]."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def joined_levels(maps: list[Tensor]) -> Tensor:
    """Maps [B, C, h, w] of several levels -> their cells one after the other, [B, Σ h·w, C]."""
    return torch.cat([one.flatten(2).mT for one in maps], dim=1)

"""What PartWorld hands to a trainer: images, exact label maps, and the part tree behind them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

MAX_NODES = 160
"""K: node slots of an image; scenes are cut so that they never need more."""


@dataclass(frozen=True)
class SceneBatch:
    """B scenes of S x S pixels with at most K nodes each.

    The mask of node k, of level l, in image b is `labels[b, l] == k`: exact, and modal (what hides it is left out).
    A pixel of a subpart also carries its part and its whole, so the masks of a child lie inside its parent's.

    Attributes:
        images: uint8 [B, 3, S, S], RGB.
        labels: int16 [B, 3, S, S]; the whole (0), part (1) and subpart (2) visible at a pixel, -1 = none.
        level: int8 [B, K]; 0 whole, 1 part, 2 subpart, -1 padding.
        parent: int16 [B, K]; node index of the parent, -1 for wholes and padding.
        area: int32 [B, K]; visible pixels, 0 = hidden or padding.
        captions: B lists of K phrases, "" for padding.
    """

    images: torch.Tensor
    labels: torch.Tensor
    level: torch.Tensor
    parent: torch.Tensor
    area: torch.Tensor
    captions: list[list[str]]

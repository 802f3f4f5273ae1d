"""PartWorld's output for a trainer: images, exact label maps, and their part trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

MAX_NODES = 160
"""K: node slots of an image; scenes are limited to this number."""


@dataclass(frozen=True)
class SceneBatch:
    """B scenes of S x S pixels with at most K nodes each.

    The mask of node k, of level l, in image b is `labels[b, l] == k`: exact, and without hidden pixels (modal). A
    pixel of a subpart also carries its part and its whole: the mask of a child lies inside its parent's.

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

    def to(self, device: torch.device | str) -> SceneBatch:
        """The same scenes with every tensor on `device`."""
        names = ("images", "labels", "level", "parent", "area")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @staticmethod
    def join(parts: Sequence[SceneBatch]) -> SceneBatch:
        """All scenes of `parts`, which have the same size and device; node slots are padded to the largest number."""
        slots = max(part.level.shape[1] for part in parts)

        def joined(name: str, padding: int) -> torch.Tensor:
            values = [getattr(part, name) for part in parts]
            return torch.cat([F.pad(value, (0, slots - value.shape[1]), value=padding) for value in values])

        return SceneBatch(
            images=torch.cat([part.images for part in parts]),
            labels=torch.cat([part.labels for part in parts]),
            level=joined("level", -1),
            parent=joined("parent", -1),
            area=joined("area", 0),
            captions=[[*own, *[""] * (slots - len(own))] for part in parts for own in part.captions],
        )

"""The patches that the encoder gets: a random quarter, different for every image (MAE, section 3).

A shuffle by sorted noise gives every subset of the patches the same probability.  The encoder gets the first `kept`
of the shuffled patches; sorting the shuffle itself gives the order that restores them:

    shuffle = argsort(noise)        restore = argsort(shuffle)        x[shuffle][restore] = x

B images   L patches   K patches that are kept
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from minisam.seeds import Randomness, draw


class Masking(NamedTuple):
    """keep [B, K] and restore [B, L] are indices; hidden [B, L] is True for patches that the encoder does not get."""

    keep: Tensor
    restore: Tensor
    hidden: Tensor


def random_masking(
    images: int,
    patches: int,
    ratio: float,
    generator: Randomness = None,
    device: str | torch.device = "cpu",
) -> Masking:
    """Hide all but ⌊patches · (1 − ratio)⌋ patches of every image, and leave at least one.

    Raises ValueError for a ratio outside [0, 1).
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"the share of hidden patches must be at least 0 and below 1, got {ratio}")
    kept = max(1, int(patches * (1 - ratio)))
    noise = draw(torch.rand, (images, patches), device, generator)
    shuffle = noise.argsort(dim=1)
    restore = shuffle.argsort(dim=1)
    return Masking(shuffle[:, :kept], restore, restore >= kept)


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """The tokens [B, L, C] at `index` [B, K] -> [B, K, C]."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[2]))

"""The texture bank: one tile of each family that a world uses, ready to be looked up texel by texel."""

from __future__ import annotations

import functools

import torch
from torch.nn import functional as F

from minisam.data.partworld.foreign_textures import FOREIGN_TEXTURES
from minisam.data.partworld.textures import DRAWN, TRAIN_TEXTURES

TILE = 2 * DRAWN
FAMILIES = {family.__name__: family for family in (*TRAIN_TEXTURES, *FOREIGN_TEXTURES)}


@functools.lru_cache(maxsize=128)
def bank(families: tuple[str, ...], seed: int, shades: int, device: str) -> torch.Tensor:
    """One tile of each family as whole numbers 0..shades-1: uint8 [len(families) * TILE * TILE].

    A tile is drawn at DRAWN x DRAWN and enlarged, which makes nearest-texel look-up smooth enough.
    """
    generator = torch.Generator().manual_seed(seed)
    tiles = torch.stack([FAMILIES[name](generator) for name in families])[:, None]
    tiles = F.interpolate(F.pad(tiles, (1, 1, 1, 1), mode="circular"), scale_factor=2, mode="bilinear")
    tiles = tiles[..., 2:-2, 2:-2]
    return (tiles * (shades - 1)).round().clamp(0, shades - 1).to(torch.uint8).reshape(-1).to(device)

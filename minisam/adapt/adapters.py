"""Adapters: two small bottlenecks in each block of a frozen image encoder (Houlsby et al. 2019; Medical SAM Adapter).

    adapter(x) = W_up gelu(W_down x)                          D -> D / 4 -> D

    a = attention(norm1(x));   x ← x + a + adapter₁(a)
    n = norm2(x);              x ← x + mlp(n) + ½ · adapter₂(n)

W_up is zero at the start, and the network is unchanged until it is trained.  The published code initialises W_up like
any linear layer, and pads windows before norm1, which changes SAM's function on grids that windows do not divide;
ours does neither.

SAM-Adapter (Chen et al. 2023) has another input, the high frequencies of the image, added to the tokens before each
block.  It is left out: it was made for masks without prompts (camouflage, shadows), which Sam does not make, and no
experiment here shows that the first block, which sees the same pixels, lacks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from minisam.adapt.places import freeze_all, replace_module, trained_names
from minisam.errors import CommandError, MinisamError
from minisam.model import Sam
from minisam.model.image_encoder import Block

SHARE = 0.5
"""The scale of the second adapter's output."""


class Adapter(nn.Module):
    """[..., dim] -> [..., dim]."""

    def __init__(self, dim: int, reduction: int = 4, zero: bool = True) -> None:
        super().__init__()
        self.down = nn.Linear(dim, dim // reduction)
        self.up = nn.Linear(dim // reduction, dim)
        if zero:
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.gelu(self.down(x)))


class AdaptedBlock(Block):
    """A block of the image encoder with its two adapters; the names of its other parameters do not change."""

    def __init__(self, block: Block, zero: bool = True) -> None:
        nn.Module.__init__(self)
        self.window_size = block.window_size
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp
        self.drop_path = block.drop_path
        norm = cast(nn.LayerNorm, block.norm1)
        self.adapter1 = Adapter(norm.normalized_shape[0], zero=zero).to(norm.weight)
        self.adapter2 = Adapter(norm.normalized_shape[0], zero=zero).to(norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attend(self.norm1(x))
        x = x + self.drop_path(attended + self.adapter1(attended))
        normed = self.norm2(x)
        return x + self.drop_path(self.mlp(normed) + SHARE * self.adapter2(normed))


def add_adapters(
    sam: Sam, blocks: Sequence[int] | None = None, decoder: bool = True, zero: bool = True
) -> list[str]:
    """Freeze `sam` and put adapters into its image encoder's `blocks`, counted from 0 (None: all), in place.

    The mask decoder is also trained unless `decoder` is False.  `zero` False initialises the last layers as in the
    published code: the network then changes before any training.  Returns the names of the trained parameters.

    Raises CommandError for a block that does not exist, MinisamError for one that is already adapted.
    """
    depth = len(sam.image_encoder.blocks)
    chosen = range(depth) if blocks is None else blocks
    freeze_all(sam)
    for index in chosen:
        if not 0 <= index < depth:
            raise CommandError(f"the image encoder has blocks 0 to {depth - 1}, not {index}")
        block = sam.image_encoder.blocks[index]
        if type(block) is not Block:
            raise MinisamError(
                f"block {index} is already a {type(block).__name__}, which cannot have adapters"
            )
        replace_module(sam, f"image_encoder.blocks.{index}", AdaptedBlock(block, zero))
    sam.mask_decoder.requires_grad_(decoder)
    return trained_names(sam)

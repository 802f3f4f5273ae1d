"""CLIP's image encoder for crops: a Vision Transformer with a class token; its last layer attends only inside a mask.

    x   = [class token, patches] + positions, then ln_pre
    x   = blocks(x), all tokens attend to all tokens
    out = the class token's query over the patches *inside the mask* (last block), ln_post, projection

The output thus describes the masked object, while its surroundings still influence the patches (SAM section D.5).
Without a mask all patches count as inside.

B crops   S crop size   L patches   C width   E embed_dim
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.text.transformer import Transformer, initialise_

INSIDE = 0.5
"""A patch is inside the mask if at least this share of it is covered."""


class CropEncoder(nn.Module):
    """Crops [B, 3, S, S] of values 0 … 255, and which patches are inside [B, L] bool -> [B, E], not normalised."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, crop_size: int, patch_size: int, embed_dim: int, width: int, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.crop_size, self.patch_size = crop_size, patch_size
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        places = 1 + (crop_size // patch_size) ** 2
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(places, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        initialise_(self.transformer, width, layers)
        self.register_buffer("pixel_mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, crops: Tensor, inside: Tensor | None = None) -> Tensor:
        return self.read_out(self.tokens(crops), inside)

    def tokens(self, crops: Tensor) -> Tensor:
        """All tokens before the last block, [B, 1 + L, C]; the class token is first."""
        patches = self.conv1((crops - self.pixel_mean) / self.pixel_std).flatten(2).transpose(1, 2)
        class_token = self.class_embedding.expand(len(crops), 1, -1)
        x = torch.cat([class_token.to(patches.dtype), patches], dim=1) + self.positional_embedding
        x = self.ln_pre(x)
        for block in self.transformer.resblocks[:-1]:
            x = block(x)
        return x

    def read_out(self, tokens: Tensor, inside: Tensor | None = None) -> Tensor:
        """The last block for the class token alone, which attends to the patches `inside` [B, L]."""
        if inside is None:
            inside = tokens.new_ones((len(tokens), tokens.shape[1] - 1), dtype=torch.bool)
        allowed = F.pad(inside, (1, 0))[:, None, None]
        x = self.transformer.resblocks[-1](tokens, allowed, queries=1)
        return self.ln_post(x[:, 0]) @ self.proj

    def patches_inside(self, masks: Tensor) -> Tensor:
        """Masks of crops [B, S, S] (bool) -> [B, L] bool; if no patch is half covered, the one covered most."""
        coverage = F.avg_pool2d(masks[:, None].float(), self.patch_size).flatten(1)
        return coverage >= coverage.amax(dim=1, keepdim=True).clamp(max=INSIDE)

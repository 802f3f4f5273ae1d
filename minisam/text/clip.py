"""A small CLIP: crops and captions as unit vectors, which are close if they match (Radford et al. 2021).

    crop -> CropEncoder -> / length ->  ●
                                          cosine = how well they match
    text -> TextEncoder -> / length ->  ●

B crops or texts   E embed_dim
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.text.crop_encoder import CropEncoder
from minisam.text.text_encoder import TextEncoder
from minisam.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClipConfig:
    """The geometry; lengths in pixels, tokens, channels or blocks."""

    vocab_size: int
    embed_dim: int = 128
    crop_size: int = 48
    patch_size: int = 8
    image_width: int = 128
    image_layers: int = 4
    image_heads: int = 4
    context_length: int = 16
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4


class Clip(nn.Module):
    """Both encoders, the tokenizer, and the learned temperature exp(−logit_scale)."""

    def __init__(self, config: ClipConfig | None = None, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer or Tokenizer()
        self.config = c = config or ClipConfig(self.tokenizer.vocab_size)
        self.visual = CropEncoder(
            c.crop_size, c.patch_size, c.embed_dim, c.image_width, c.image_layers, c.image_heads
        )
        self.text = TextEncoder(
            c.vocab_size, c.context_length, c.embed_dim, c.text_width, c.text_layers, c.text_heads
        )
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_crops(self, crops: Tensor, masks: Tensor | None = None) -> Tensor:
        """Crops [B, 3, S, S] of values 0 … 255, and masks [B, S, S] (bool) for the output -> [B, E]."""
        inside = None if masks is None else self.visual.patches_inside(masks)
        return F.normalize(self.visual(crops, inside).float(), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts -> [B, E].  Raises PromptError for a text that the tokenizer cannot read."""
        tokens = self.tokenizer(texts).to(self.logit_scale.device)
        return F.normalize(self.text(tokens).float(), dim=1)

"""CLIP's loss: each crop has to find its text in the batch, and each text its crop (Radford et al. 2021, fig. 3).

    logits = exp(t) · I Tᵀ                 I, T: unit vectors, t: learned, exp(t) ≤ 100
    loss   = ½ · cross_entropy(rows, i ↦ i) + ½ · cross_entropy(columns, i ↦ i)

Two objects of a batch may have the same caption ("red plain wheel of the car").  Each would then count as wrong for
the other's text, although it is correct. These pairs are left out of the sums: neither positive nor negative.

B pairs   E embed_dim
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_LOG_SCALE = math.log(100.0)


def pair_logits(images: Tensor, texts: Tensor, log_scale: Tensor, same: Tensor | None = None) -> Tensor:
    """Unit vectors [B, E] -> [B, B]; −∞ for two different pairs that `same` [B, B] (bool) says have one caption."""
    logits = log_scale.clamp(max=MAX_LOG_SCALE).exp() * images @ texts.T
    if same is None:
        return logits
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return logits.masked_fill(same & ~own, -torch.inf)


def contrastive_loss(
    images: Tensor, texts: Tensor, log_scale: Tensor, same: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The loss and the share of crops and texts whose best match is their own, both scalars."""
    logits = pair_logits(images, texts, log_scale, same)
    own = torch.arange(len(logits), device=logits.device)
    loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    found = (logits.argmax(dim=1) == own).float().mean() + (logits.argmax(dim=0) == own).float().mean()
    return loss, found.detach() / 2


def same_caption(captions: Sequence[str]) -> Tensor:
    """B captions -> [B, B] bool, true on the diagonal."""
    number = {caption: index for index, caption in enumerate(dict.fromkeys(captions))}
    index = torch.tensor([number[caption] for caption in captions])
    return index[:, None] == index

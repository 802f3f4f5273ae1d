"""CLIP's embedding as a token of the prompt: a linear layer and a learned type, no position (SAM section D.5).

    token = W (e − centre of its kind) + type embedding

e is a unit vector, of a crop in training and of a text in use.  Crops and texts lie in two different regions of the
sphere, even if they match (the modality gap; Liang et al. 2022). A layer trained only on crops would find every text
far away.  Therefore the centre of its kind is subtracted from each embedding.  The paper does not describe how it
handles the gap, nor the layer's number of channels; with the crops' centre for both kinds, this is the plain linear
layer.

P prompts   C clip's embed_dim   E SAM's embed_dim
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["image", "text"]
KINDS: tuple[Kind, Kind] = ("image", "text")


class ExternalPrompt(nn.Module):
    """Unit vectors [P, C] of one kind -> tokens [P, 1, E]."""

    centres: Tensor

    def __init__(self, clip_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(clip_dim, embed_dim, bias=False)
        self.type_embed = nn.Parameter(torch.zeros(embed_dim))
        self.register_buffer("centres", torch.zeros(len(KINDS), clip_dim))
        nn.init.normal_(self.projection.weight)

    def forward(self, embeddings: Tensor, kind: Kind) -> Tensor:
        centred = embeddings - self.centres[KINDS.index(kind)]
        return (self.projection(centred) + self.type_embed)[:, None]

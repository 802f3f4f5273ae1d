"""CLIP's embedding as a token of the prompt: one linear layer and a learned type, and no position (SAM section D.5).

    token = W (e − centre of its kind) + type embedding

e is a unit vector, of a crop while SAM is trained and of a text when it is used.  Crops and texts lie in two different
places of the sphere, however well they match (the modality gap; Liang et al. 2022), so a layer that has only met crops
would find every text far away.  Each kind is therefore measured from its own centre.  The paper does not say how it
bridges the gap or how many channels become others; with the crops' centre for both, this is the plain linear layer.

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

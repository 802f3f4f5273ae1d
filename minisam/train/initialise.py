"""Random weights to train from: small position tables, linear layers that keep the size of what they see, and
cross-attention that starts by looking at the place that the prompt names.

Points and image tokens share one position encoding, whose inner product falls off with distance.  Where queries
and keys are projected alike, (W q) · (W k) keeps that fall-off, so a token for a click attends around the click
from the first step; with independent projections it would have to find that out.
"""

from __future__ import annotations

import torch
from torch import nn

from minisam.model import Attention, Sam


@torch.no_grad()
def initialise_(sam: Sam) -> None:
    """Absolute positions N(0, 0.02²) cut at two deviations, linear layers Xavier (as MAE does), biases zero.

    Relative positions stay zero, prompt embeddings and output tokens N(0, 1), as segment-anything builds them.
    """
    for module in sam.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in sam.mask_decoder.modules():
        if isinstance(module, Attention):
            module.k_proj.weight.copy_(module.q_proj.weight)
    if sam.image_encoder.pos_embed is not None:
        nn.init.trunc_normal_(sam.image_encoder.pos_embed, std=0.02)
    projection = sam.image_encoder.patch_embed.proj
    nn.init.xavier_uniform_(projection.weight.view(projection.weight.shape[0], -1))

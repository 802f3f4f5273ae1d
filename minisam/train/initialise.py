"""Random initial weights, arranged to make training from scratch fast.

linear layers       Xavier, biases zero (as in MAE); absolute positions N(0, 0.02²)
patch embedding     a cosine basis, low frequencies first, scaled to equalise the spectrum of natural images: tokens
                    start as a whitened small copy of their patch
decoder attention   "where" and "what" separated: the position encodings of a grid lie mostly in half of the channels'
                    directions.  Prompt tokens attend to the image tokens at their position (queries and keys read
                    that half) and copy the content there (values read the other half); image tokens then attend to
                    the prompt tokens with similar content.  From the first step on, a click thus selects regions
                    that look like the clicked token; random projections only give a disc around it for a long time
prompt embeddings   N(0, 0.3²): weaker than the position to which they are added
upscaling           one kernel for all four positions of a transposed convolution (Aitken et al. 2017): the sixteen
                    pixels of a token start equal and learn their differences

Relative positions stay zero and output tokens N(0, 1), as segment-anything builds them.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from minisam.model import Attention, Sam

PROMPT_STD = 0.3
SAME_PLACE_LOGIT = 10.0
SAME_CONTENT_LOGIT = 7.0


@torch.no_grad()
def initialise_(sam: Sam) -> None:
    """Draw the weights of a Sam in place, from torch's random numbers."""
    for module in sam.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if sam.image_encoder.pos_embed is not None:
        nn.init.trunc_normal_(sam.image_encoder.pos_embed, std=0.02)
    projection = sam.image_encoder.patch_embed.proj
    projection.weight.copy_(whitening_patches(projection.out_channels, sam.image_encoder.patch_size))
    for embedding in (*sam.prompt_encoder.point_embeddings, sam.prompt_encoder.not_a_point_embed):
        nn.init.normal_(cast(nn.Embedding, embedding).weight, std=PROMPT_STD)
    nn.init.normal_(sam.prompt_encoder.no_mask_embed.weight, std=PROMPT_STD)

    where, what = position_and_content_directions(sam)
    for name, module in sam.mask_decoder.named_modules():
        if isinstance(module, Attention):
            nn.init.orthogonal_(module.v_proj.weight)
            if "token_to_image" in name:
                align_(module, where, logit=SAME_PLACE_LOGIT)
                module.v_proj.weight.copy_(rotated(what, module.internal_dim))
            elif "image_to_token" in name:
                align_(module, what, logit=SAME_CONTENT_LOGIT)
            else:
                module.k_proj.weight.copy_(module.q_proj.weight)
            module.out_proj.weight.copy_(module.v_proj.weight.T)
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.copy_(module.weight[..., :1, :1].expand_as(module.weight))


def position_and_content_directions(sam: Sam) -> tuple[Tensor, Tensor]:
    """Two orthonormal bases [E / 2, E]: the directions in which positions vary most, and all others."""
    encodings = sam.prompt_encoder.get_dense_pe()[0].flatten(1).T
    directions = torch.linalg.svd(encodings)[2]
    return directions.split(directions.shape[0] // 2)


def align_(attention: Attention, directions: Tensor, logit: float) -> None:
    """Queries and keys both read `directions`: two vectors of variance 1 that are equal there get `logit`."""
    head_dim = attention.internal_dim // attention.num_heads
    gain = (logit / math.sqrt(head_dim)) ** 0.5
    attention.q_proj.weight.copy_(gain * rotated(directions, attention.internal_dim))
    attention.k_proj.weight.copy_(attention.q_proj.weight)


def rotated(directions: Tensor, rows: int) -> Tensor:
    """`rows` random orthonormal combinations of `directions`: every head reads a part of all of them."""
    return nn.init.orthogonal_(torch.empty(rows, len(directions), device=directions.device)) @ directions


def whitening_patches(count: int, patch_size: int, largest_gain: float = 6.0) -> Tensor:
    """The `count` lowest frequencies of a patch as kernels [count, 3, P, P]; luminance before colour.

    A frequency of f half-waves per patch has about 1/f of the mean's amplitude in natural images, and its kernel is
    2·f times as strong, up to `largest_gain`; colour differences are three times weaker than luminance.
    """
    P = patch_size
    wave = torch.arange(P)[:, None] * (torch.arange(P) + 0.5) * (math.pi / P)
    cosines = wave.cos() * math.sqrt(2 / P)
    cosines[0] /= math.sqrt(2)
    luminance, red_blue, green_magenta = 0, 1, 2
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [0.5, -1.0, 0.5]])
    colours = colours / colours.norm(dim=1, keepdim=True)

    def order(kernel: tuple[int, int, int]) -> float:
        colour, down, across = kernel
        return math.hypot(down, across) * (1.0 if colour == luminance else 2.0)

    all_kernels = [
        (c, u, v) for c in (luminance, red_blue, green_magenta) for u in range(P) for v in range(P)
    ]
    weight = torch.zeros(count, 3, P, P)
    for index, (colour, down, across) in enumerate(sorted(all_kernels, key=order)[:count]):
        gain = min(largest_gain, max(1.0, 2.0 * math.hypot(down, across))) * (
            1.0 if colour == luminance else 3.0
        )
        kernel = cosines[down][:, None] * cosines[across]
        weight[index] = gain / (1.7 * P) * colours[colour][:, None, None] * kernel
    return weight

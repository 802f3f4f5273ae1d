"""Random weights to train from, arranged so that little has to be unlearned.

linear layers       Xavier, biases zero (as MAE does); absolute positions N(0, 0.02²)
patch embedding     a cosine basis, low frequencies first, each scaled up by what natural images lack of it, so
                    that tokens start as a whitened small copy of their patch
decoder attention   queries and keys projected alike: points and image tokens share one position encoding, whose
                    inner product falls off with distance, so a click attends around itself from the first step;
                    output = transpose of an orthogonal value projection: what is attended to is copied
upscaling           one kernel for all four positions of a transposed convolution (Aitken et al. 2017): the sixteen
                    pixels of a token start alike and learn their differences

Relative positions stay zero, prompt embeddings and output tokens N(0, 1), as segment-anything builds them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minisam.model import Attention, Sam


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
    for module in sam.mask_decoder.modules():
        if isinstance(module, Attention):
            module.k_proj.weight.copy_(module.q_proj.weight)
            nn.init.orthogonal_(module.v_proj.weight)
            module.out_proj.weight.copy_(module.v_proj.weight.T)
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.copy_(module.weight[..., :1, :1].expand_as(module.weight))


def whitening_patches(count: int, patch_size: int, largest_gain: float = 6.0) -> Tensor:
    """The `count` lowest frequencies of a patch as kernels [count, 3, P, P]; luminance before colour.

    A frequency of f half-waves a patch has about 1/f of the mean's amplitude in natural images, and its kernel
    is 2·f times as strong, up to `largest_gain`; colour differences are three times weaker than luminance.
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

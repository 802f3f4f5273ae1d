"""Mask encoding: the logits of a mask, reduced by four on each side to the grid of the image embedding.

    out = conv1(gelu(norm(conv2(gelu(norm(conv2(mask)))))))

conv2 is a 2 x 2 convolution of stride 2, which is a patch embedding with P = 2; conv1 is a 1 x 1 convolution, a patch
embedding with P = 1; norm is layer norm over the channels. The result is added to the image embedding.

Symbols   B prompts   H, W grid of the image embedding   D channels
Source    Kirillov et al. 2023 (SAM), appendix A, "Prompt encoder". Weights: keys of `mask_downscaling`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minisam_kernels.reference.gelu import gelu
from minisam_kernels.reference.layer_norm_2d import layer_norm_2d
from minisam_kernels.reference.patch_embed import patch_embed


def mask_encoding(mask: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """mask [B, 1, 4*H, 4*W] as logits -> [B, D, H, W]."""
    x = mask
    for conv, norm in (("0", "1"), ("3", "4")):
        x = _convolve(x, weights, conv)
        x = gelu(layer_norm_2d(x, weights[f"{norm}.weight"], weights[f"{norm}.bias"]))
    return _convolve(x, weights, "6")


def _convolve(x: np.ndarray, weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    tokens = patch_embed(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return tokens.transpose(0, 3, 1, 2)

"""Patch embedding: cut the image into P x P patches and map every patch linearly to D channels.

    out[b, i, j, d] = bias[d] + sum_{c, y, x} weight[d, c, y, x] * image[b, c, i*P + y, j*P + x]

Symbols   B batch   C image channels   H, W image size   P patch side   D embedding channels
Source    Dosovitskiy et al. 2021 (ViT), equation 1, without the class token: a P x P convolution of stride P.
"""

from __future__ import annotations

import numpy as np


def patch_embed(image: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """image [B, C, H, W], weight [D, C, P, P], bias [D] -> tokens [B, H/P, W/P, D].

    Pixels at the right and the bottom that do not fill a whole patch are ignored, as in a convolution.
    """
    P = weight.shape[-1]
    rows, columns = image.shape[2] // P, image.shape[3] // P
    tokens = np.empty((image.shape[0], rows, columns, weight.shape[0]), image.dtype)
    for i in range(rows):
        for j in range(columns):
            patch = image[:, :, i * P : (i + 1) * P, j * P : (j + 1) * P]
            tokens[:, i, j] = np.einsum("bcyx,dcyx->bd", patch, weight) + bias
    return tokens

"""Mask logits from image tokens, without an upscaled image embedding.

Upscaling doubles the grid twice.  A transposed convolution of kernel 2 and stride 2 makes a square of 2 × 2 pixels of
every token and looks at nothing else, so it is four linear layers, one for each place (dy, dx) in the square:

    pixel[2·i + dy, 2·j + dx] = W[dy, dx] token[i, j] + b

The two of one dy give whole rows of pixels, in order.  Row by row a mask token's weights turn the C channels of the
upscaled embedding into one logit a pixel; only logits are ever laid out as an image.

S = h·w image tokens   E channels of a token   C channels of the upscaled embedding   M masks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.matrix_product import linear


def upscaled_masks(
    upscaling: nn.Sequential, tokens: Tensor, weights: Tensor, grid: tuple[int, int]
) -> Tensor:
    """weights [M, C] · upscaling(tokens [h·w, E] as an image of `grid` (h, w)) -> mask logits [M, 4·h, 4·w]."""
    double, norm, activation, double_again, last_activation = cast(Any, upscaling)
    rows = []
    for pixels in rows_of_pixels(double, tokens):
        pixels = F.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps)
        pixels = activation(pixels)
        for fine_pixels in rows_of_pixels(double_again, pixels):
            logits = weights @ last_activation(fine_pixels).T
            rows.append(logits.unflatten(1, (grid[0], 4 * grid[1])))
    return torch.stack(rows, dim=2).flatten(1, 2)


def rows_of_pixels(double: nn.ConvTranspose2d, tokens: Tensor) -> Iterator[Tensor]:
    """[h·w, E] -> the even and then the odd rows of the doubled image, [h·2w, channels] each."""
    for dy in range(2):
        weight_of_row = double.weight[:, :, dy].permute(2, 1, 0).flatten(0, 1)
        bias_of_row = None if double.bias is None else double.bias.repeat(2)
        yield linear(tokens, weight_of_row, bias_of_row).unflatten(1, (2, -1)).flatten(0, 1)

"""Mask logits from image tokens, without an upscaled image embedding.

Upscaling doubles the grid twice.  A transposed convolution with kernel 2 and stride 2 makes a square of 2 × 2 pixels
from each token, independent of other tokens. It is therefore four linear layers, one for each position (dy, dx) in
the square:

    pixel[2·i + dy, 2·j + dx] = W[dy, dx] token[i, j] + b

The two layers with the same dy give complete rows of pixels, in order.  Row by row, a mask token's weights turn the C
channels of the upscaled embedding into one logit per pixel; only logits are arranged as an image.

S = h·w image tokens   E channels of a token   C channels of the upscaled embedding   M masks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.fast.as_built import ELEMENTWISE, is_as_built
from minisam.model.layer_norm_2d import LayerNorm2d


def doubles_tokens(upscaling: nn.Module) -> bool:
    """Whether it is the decoder's unchanged upscaling, two transposed convolutions of this kind, without hooks."""
    kinds = (nn.ConvTranspose2d, LayerNorm2d, ELEMENTWISE, nn.ConvTranspose2d, ELEMENTWISE)
    return (
        type(upscaling) is nn.Sequential
        and is_as_built(upscaling, nn.Sequential, nn.ConvTranspose2d, LayerNorm2d)
        and len(upscaling) == len(kinds)
        and all(isinstance(layer, kind) for layer, kind in zip(upscaling, kinds, strict=True))
        and all(has_squares(layer) for layer in upscaling if isinstance(layer, nn.ConvTranspose2d))
    )


def has_squares(layer: nn.ConvTranspose2d) -> bool:
    """Whether it has kernel 2, stride 2 and no other settings: each pixel then depends on one token."""
    rest = layer.padding, layer.output_padding, layer.dilation, layer.groups
    return layer.kernel_size == layer.stride == (2, 2) and rest == ((0, 0), (0, 0), (1, 1), 1)


class TokenUpscaling:
    """The decoder's upscaling, with the same parameters; valid until these change."""

    def __init__(self, upscaling: nn.Sequential) -> None:
        double, self.norm, self.activation, double_again, self.last_activation = cast(Any, upscaling)
        self.doublings = Doubling(double), Doubling(double_again)

    def masks(self, tokens: Tensor, weights: Tensor, grid: tuple[int, int]) -> Tensor:
        """weights [M, C] · upscaled(tokens [h·w, E] as an image of `grid` (h, w)) -> mask logits [M, 4·h, 4·w]."""
        double, double_again = self.doublings
        rows = []
        for pixels in double.rows(tokens):
            pixels = F.layer_norm(
                pixels, self.norm.weight.shape, self.norm.weight, self.norm.bias, self.norm.eps
            )
            for fine_pixels in double_again.rows(self.activation(pixels)):
                logits = weights @ self.last_activation(fine_pixels).T
                rows.append(logits.unflatten(1, (grid[0], 4 * grid[1])))
        return torch.stack(rows, dim=2).flatten(1, 2)


class Doubling:
    """A transposed convolution of kernel 2 and stride 2, as linear layers for even and odd rows."""

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        weight, bias = convolution.weight, convolution.bias
        self.weights = [weight[:, :, dy].permute(2, 1, 0).flatten(0, 1) for dy in range(2)]
        self.bias = None if bias is None else bias.repeat(2)

    def rows(self, tokens: Tensor) -> Iterator[Tensor]:
        """[h·w, channels] -> the even and then the odd rows of the doubled image, each [h·2w, channels out]."""
        for weight in self.weights:
            yield F.linear(tokens, weight, self.bias).unflatten(1, (2, -1)).flatten(0, 1)

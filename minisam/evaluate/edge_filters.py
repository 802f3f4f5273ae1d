"""Edges directly from an image's colours, by Sobel and Canny, for comparison with SAM's edges (SAM table 3).

    Sobel   length of the gradient, thinned
    Canny   the same on the image smoothed by a Gaussian, with hysteresis: threshold t keeps strong pixels (>= t),
            and weak pixels (>= 0.4 t) that are connected to a strong one by weak pixels

Hysteresis at every threshold at once: the highest t at which a pixel p of strength g stays is the fixed point of

    t(p) = max( g(p), min( g(p) / 0.4, max over the eight neighbours q of t(q) ) )

The largest gradient of the three colours is used, which also detects an edge between two equally light colours.

H, W of the image
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.evaluate.edge_map import sobel
from minisam.evaluate.edge_thinning import thin_edges

SIGMA = 1.0
"""Sigma of Canny's Gaussian in pixels.  The best of 1, 1.5, 2 and 3 on PartWorld's training world at 256 pixels."""
WEAK = 0.4
"""Canny's lower threshold divided by the upper one."""


def sobel_edges(image: Tensor) -> Tensor:
    """An image [3, H, W] uint8 -> edge strengths [H, W] in 0 … 1, thin."""
    return scaled(thin_edges(colour_gradient(image.float())))


def canny_edges(image: Tensor, sigma: float = SIGMA) -> Tensor:
    """An image [3, H, W] uint8 -> [H, W] in 0 … 1: the highest threshold at which Canny's detector keeps a pixel."""
    return scaled(hysteresis(thin_edges(colour_gradient(gaussian_blur(image.float(), sigma)))))


def colour_gradient(image: Tensor) -> Tensor:
    """[3, H, W] -> the largest of the three lengths of the gradient, [H, W]."""
    return torch.stack([sobel(channel) for channel in image]).amax(dim=0)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """[C, H, W] -> the same size, with the border pixels repeated outside.  The Gaussian is cut off at four sigma."""
    reach = round(4 * sigma)
    weights = torch.exp(
        -(torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device) ** 2) / (2 * sigma**2)
    )
    weights = weights / weights.sum()
    padded = F.pad(image[:, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))[:, 0]


def hysteresis(strength: Tensor, weak: float = WEAK) -> Tensor:
    """Thin strengths [H, W] >= 0 -> the highest threshold at which each pixel stays, [H, W]; 0 stays 0."""
    highest = strength
    while True:
        around = F.max_pool2d(highest[None], kernel_size=3, stride=1, padding=1)[0]
        raised = torch.maximum(strength, torch.minimum(strength / weak, around))
        if raised.equal(highest):
            return highest
        highest = raised


def scaled(strength: Tensor) -> Tensor:
    """Strengths >= 0, scaled to a maximum of 1; unchanged if all are 0."""
    return strength / strength.max().clamp(min=torch.finfo(torch.float32).tiny)

"""RoIAlign: the features inside a box, resampled to a fixed grid by bilinear interpolation (He et al. 2017, section 3).

    out[i, j] = mean over the samples (y, x) of bin (i, j) of F(y, x)
    a bin's samples: an even grid of ⌈its height⌉ × ⌈its width⌉ points     pixel p of the image lies at p · scale − ½

Bilinear interpolation multiplies a weight along y by a weight along x, and so does the mean over a grid of samples.
RoIAlign is therefore two matrix products per box:

    out = Wy · F · Wxᵀ        Wy[i, row] = mean over the samples y of bin i of max(0, 1 − |y − row|)

A sample up to one cell outside the map takes the value at the edge; one farther out is 0.

n boxes   C channels   H, W cells of the map   S cells of the result per side
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(features: Tensor, boxes: Tensor, image_index: Tensor, scale: float, side: int) -> Tensor:
    """Features [B, C, H, W] inside boxes [n, 4] (x0, y0, x1, y1) in pixels -> [n, C, S, S], S = `side`.

    `image_index` [n] is each box's image, `scale` the cells per pixel.  There is a gradient to the features, none to
    the boxes.
    """
    boxes = boxes.detach() * scale - 0.5
    x_weights = axis_weights(boxes[:, 0], boxes[:, 2], features.shape[3], side).to(features.dtype)
    y_weights = axis_weights(boxes[:, 1], boxes[:, 3], features.shape[2], side).to(features.dtype)
    inside = features.new_zeros((len(boxes), features.shape[1], side, side))
    for image in image_index.unique().tolist():
        own = image_index == image
        inside[own] = torch.einsum("niy,cyx,njx->ncij", y_weights[own], features[image], x_weights[own])
    return inside


def axis_weights(first: Tensor, last: Tensor, cells: int, side: int) -> Tensor:
    """The weight of each cell in each bin along one axis, for boxes from `first` to `last` [n]: [n, S, cells]."""
    bin_size = (last - first) / side
    samples = bin_size.ceil().clamp(min=0)
    number = torch.arange(int(samples.max()) if len(first) else 0, device=first.device)
    inside_bin = (number + 0.5) / samples.clamp(min=1)[:, None]
    bins = torch.arange(side, device=first.device)
    place = first[:, None, None] + (bins[:, None] + inside_bin[:, None]) * bin_size[:, None, None]
    counts = (number < samples[:, None])[:, None] & (place >= -1) & (place <= cells)
    distance = place.clamp(0, cells - 1)[..., None] - torch.arange(cells, device=first.device)
    hat = (1 - distance.abs()).clamp(min=0) * counts[..., None]
    return hat.sum(dim=2) / samples.clamp(min=1)[:, None, None]

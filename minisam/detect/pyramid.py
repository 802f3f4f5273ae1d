"""RoIAlign from the level of a feature pyramid that suits a box's size (Lin et al. 2017, FPN, equation 1).

    level = ⌊log₂(√(width · height) / finest + 10⁻⁶)⌋, from 0 to the coarsest        finest: a side in pixels

B images   C channels   n boxes   S cells of the result per side
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minisam.detect.roi_align import roi_align


def level_of(boxes: Tensor, finest: float, levels: int) -> Tensor:
    """Boxes [n, 4] -> the number of each box's level [n], 0 for the finest."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt()
    return (sides / finest + 1e-6).log2().floor().clamp(0, levels - 1).long()


def pyramid_roi_align(
    pyramid: Sequence[Tensor],
    strides: Sequence[float],
    boxes: Tensor,
    image_index: Tensor,
    finest: float,
    side: int,
) -> Tensor:
    """Maps [B, C, h, w], fine to coarse, with strides in pixels, inside boxes [n, 4] -> [n, C, S, S]."""
    level = level_of(boxes, finest, len(pyramid))
    parts, places = [], []
    for number, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        own = (level == number).nonzero()[:, 0]
        parts.append(roi_align(features, boxes[own], image_index[own], 1 / stride, side))
        places.append(own)
    return torch.cat(parts)[torch.cat(places).argsort()]

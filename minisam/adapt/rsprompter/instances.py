"""What a detector finds in an image, in pixels of the image as it was given.

logits of the decoder -> bilinear to the network's input -> padding cut off -> bilinear to the image -> > 0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from minisam.model import Sam

MASKS_AT_ONCE = 32
"""A detector finds up to a hundred objects; a mask of 1024² pixels takes 4 MB as logits."""


class Sizes(NamedTuple):
    """(H, W) of an image: scaled, without padding, in the network's input; and as it was given."""

    scaled: tuple[int, int]
    original: tuple[int, int]


class Instances(NamedTuple):
    """n objects of an image, best first: boxes [n, 4] (x0, y0, x1, y1), labels, scores [n], masks [n, H, W] bool."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor


def in_original_pixels(boxes: Tensor, sizes: Sizes) -> Tensor:
    """Boxes [n, 4] in pixels of the input -> of the image as it was given."""
    y, x = (given / scaled for given, scaled in zip(sizes.original, sizes.scaled, strict=True))
    return boxes * boxes.new_tensor([x, y, x, y])


def final_masks(sam: Sam, logits: Tensor, sizes: Sizes) -> Tensor:
    """Low-resolution logits [n, h, w] -> masks [n, H, W] bool."""
    masks = logits.new_zeros((len(logits), *sizes.original), dtype=torch.bool)
    for rows in parts(len(logits)):
        full = sam.postprocess_masks(logits[rows, None], sizes.scaled, sizes.original)
        masks[rows] = full[:, 0] > sam.mask_threshold
    return masks


def parts(count: int) -> Iterator[slice]:
    """The rows of at most MASKS_AT_ONCE masks at a time."""
    return (slice(start, min(start + MASKS_AT_ONCE, count)) for start in range(0, count, MASKS_AT_ONCE))

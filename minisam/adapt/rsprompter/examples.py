"""From a labelled image to what a detector trains on: scaled, perhaps flipped and turned, with boxes of its masks.

S side of the network's input   m objects
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from minisam.adapt.rsprompter.instances import Sizes
from minisam.data.segmentation_folder import Picture
from minisam.data.skipped import Skipped
from minisam.detect.boxes import boxes_of
from minisam.detect.two_stage import Targets
from minisam.model import Sam
from minisam.predict.resize_longest_side import ResizeLongestSide
from minisam.train.pictures import scaled_mask


class Example(NamedTuple):
    """An image at the network's scale, uint8 [3, h, w], and its objects in the padded input."""

    image: Tensor
    targets: Targets
    sizes: Sizes


def prepare_example(
    picture: Picture,
    labels: dict[Any, int],
    image_size: int,
    skipped: Skipped,
    generator: np.random.Generator | None = None,
) -> Example:
    """`labels` maps category ids to 0 … C − 1; with `generator`, a random flip and quarter turns.

    Objects of other categories, and masks that are damaged or empty, are left out and recorded; so are crowds, which
    are not recorded.  m may be 0.
    """
    image = ResizeLongestSide(image_size).apply_image(picture.image)
    scaled = image.shape[0], image.shape[1]
    masks, own = [], []
    for segment in picture.segments:
        if segment.crowd:
            continue
        if segment.category not in labels:
            skipped.add(segment.name, f"there is no category {segment.category!r}")
            continue
        mask = scaled_mask(segment, scaled, skipped)
        if mask is not None:
            masks.append(mask)
            own.append(labels[segment.category])
    stack = np.stack(masks) if masks else np.zeros((0, *scaled), bool)
    if generator is not None:
        flip, turns = bool(generator.integers(2)), int(generator.integers(4))
        image, stack = turned(image, flip, turns, (0, 1)), turned(stack, flip, turns, (1, 2))
    scaled = image.shape[0], image.shape[1]
    padding = (0, image_size - scaled[1], 0, image_size - scaled[0])
    objects = F.pad(torch.from_numpy(stack), padding)
    targets = Targets(boxes_of(objects), torch.tensor(own, dtype=torch.int64), objects)
    original = picture.image.shape[0], picture.image.shape[1]
    return Example(torch.from_numpy(image).permute(2, 0, 1).contiguous(), targets, Sizes(scaled, original))


def turned(values: NDArray, flip: bool, turns: int, axes: tuple[int, int]) -> NDArray:
    """Mirrored along the second of two axes, then turned by quarters; a copy, which torch takes for any shape."""
    return np.rot90(np.flip(values, axes[1]) if flip else values, turns, axes).copy()


def input_batch(sam: Sam, images: Sequence[Tensor]) -> Tensor:
    """Images at the network's scale -> [B, 3, S, S], normalised and padded, on its device."""
    return torch.stack([sam.preprocess(image.to(sam.device)) for image in images])

"""The targets for text prompts: objects of scenes, each with its crop for CLIP and its caption.

Scenes are drawn at CLIP's scene size and scaled down to the network's input: the network gets a small image, CLIP a
crop of a larger one, as with a photo.

I images   P targets   S network's image size   R size that the scenes are drawn at
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.data.partworld import SceneBatch
from minisam.text.pairs import SCENE_SIZE, draw_pairs


class Targets(NamedTuple):
    """P objects on I images."""

    images: Tensor
    """uint8 [I, 3, S, S]."""
    scenes: Tensor
    """uint8 [I, 3, R, R], the same images as drawn."""
    masks: Tensor
    """[P, S, S] bool."""
    scene_masks: Tensor
    """[P, R, R] bool."""
    image_index: Tensor
    """[P]."""
    captions: list[str]


def scene_size(network_size: int) -> int:
    """R: the least multiple of the network's size that CLIP's scenes have at least."""
    return network_size * max(1, -(-SCENE_SIZE // network_size))


def draw_targets(
    scenes: SceneBatch, size: int, per_image: int, seed: int, min_area: float, unique: bool = False
) -> Targets:
    """At most `per_image` targets of every scene; `min_area` is a share of the image.

    `unique` leaves out targets whose caption also fits another visible object of the image.
    """
    pairs = draw_pairs(scenes, per_image, seed, min_area, whole_caption=1.0)
    shrink = scenes.images.shape[-1] // size
    images = F.avg_pool2d(scenes.images.float(), shrink).round().to(torch.uint8)
    masks = F.avg_pool2d(pairs.masks[:, None].float(), shrink)[:, 0] >= 0.5
    keep = masks.flatten(1).any(dim=1)
    if unique:
        keep &= torch.tensor(unique_captions(scenes, pairs.captions, pairs.image_index), dtype=torch.bool)
    captions = [caption for caption, kept in zip(pairs.captions, keep.tolist(), strict=True) if kept]
    return Targets(images, scenes.images, masks[keep], pairs.masks[keep], pairs.image_index[keep], captions)


def unique_captions(scenes: SceneBatch, captions: list[str], image_index: Tensor) -> list[bool]:
    """Whether each caption names exactly one visible object of its image."""
    counts = [
        Counter(caption for caption, area in zip(phrases, areas, strict=True) if area > 0)
        for phrases, areas in zip(scenes.captions, scenes.area.tolist(), strict=True)
    ]
    return [
        counts[image][caption] == 1 for caption, image in zip(captions, image_index.tolist(), strict=True)
    ]

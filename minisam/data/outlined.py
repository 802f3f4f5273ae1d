"""Scenes from photographs with outlined objects, in PartWorld's format, to be mixed with cut-outs.

    a random window of the photograph, perhaps mirrored  ->  S x S pixels  ->  the camera of the cut-outs

A window has at least `SMALLEST_WINDOW` of either side, so it enlarges; a share `FOUR_AT_ONCE` of the scenes are four
windows of S / 2 pixels per side, which makes objects smaller.  The outlines of a photograph may overlap.  From the
largest to the smallest, each becomes a node of the first level where it covers no other one, so that a whole, its part
and the part's part lie on three levels; what fits on none is left out.

Scene i of a seed depends only on (seed, i), the size and the folder.

B scenes   S pixels per side   K node slots   m outlines
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minisam.data.cutouts.camera import photograph
from minisam.data.cutouts.scene import as_scene_batch
from minisam.data.partworld import SceneBatch
from minisam.data.partworld.batch import MAX_NODES
from minisam.data.segmentation_folder import SegmentationFolder, open_folder
from minisam.data.segments import Picture, usable_mask
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, MinisamError

SMALLEST_WINDOW = 0.5
FOUR_AT_ONCE = 0.4
OVERLAP = 0.02
"""The share of a node that may lie over others of its level."""
FAILURES_IN_A_ROW = 200
Mask = NDArray[np.bool_]


@lru_cache(maxsize=2)
def open_outlined(path: Path) -> SegmentationFolder:
    """The folder at `path`, opened once in a process.

    Raises:
        DatasetError: there is no folder of images with masks.
    """
    folder = open_folder(path)
    if not folder.names:
        raise DatasetError(f"{path}: no images with masks")
    return folder


def outlined_scenes(path: Path, seed: int, batch_size: int, image_size: int) -> tuple[SceneBatch, Skipped]:
    """Draw B scenes of S pixels, and the files that could not be used.

    Raises:
        DatasetError: hardly any image of the folder can be used.
    """
    folder, skipped = open_outlined(path), Skipped()
    images = np.empty((batch_size, image_size, image_size, 3), np.uint8)
    labels = np.full((batch_size, 3, image_size, image_size), -1, np.int16)
    for i in range(batch_size):
        random = np.random.default_rng([seed % 2**63, i])
        draw = draw_four if random.random() < FOUR_AT_ONCE else draw_window
        image, masks = draw(random, folder, image_size, skipped)
        images[i] = photograph(random, image.astype(np.float32))
        labels[i] = on_levels(masks)
    return as_scene_batch(images, labels), skipped


def draw_four(
    random: np.random.Generator, folder: SegmentationFolder, image_size: int, skipped: Skipped
) -> tuple[NDArray[np.uint8], list[Mask]]:
    """Four windows, two by two, [S, S, 3], and the masks that are in them, each [S, S]."""
    half = -(-image_size // 2)
    image = np.empty((2 * half, 2 * half, 3), np.uint8)
    masks = []
    for top, left in ((0, 0), (0, half), (half, 0), (half, half)):
        quarter = slice(top, top + half), slice(left, left + half)
        image[quarter], inside = draw_window(random, folder, half, skipped)
        for mask in inside:
            whole = np.zeros(image.shape[:2], np.bool_)
            whole[quarter] = mask
            masks.append(whole[:image_size, :image_size])
    return image[:image_size, :image_size], [mask for mask in masks if mask.any()]


def draw_window(
    random: np.random.Generator, folder: SegmentationFolder, image_size: int, skipped: Skipped
) -> tuple[NDArray[np.uint8], list[Mask]]:
    """A window of a random image, [S, S, 3], and the masks that are in it, each [S, S]."""
    for _ in range(FAILURES_IN_A_ROW):
        index = int(random.integers(len(folder.names)))
        try:
            picture = folder.read(index)
            masks = usable_masks(picture, skipped)
        except (MinisamError, OSError) as error:
            skipped.add(folder.names[index], error)
            continue
        height, width = picture.image.shape[:2]
        size = np.array([width, height]) * random.uniform(SMALLEST_WINDOW, 1, size=2)
        left, top = random.random(2) * ((width, height) - size)
        window = (left, top, left + size[0], top + size[1])
        image = scaled(Image.fromarray(picture.image), window, image_size)
        inside = [
            scaled(Image.fromarray(mask.astype(np.uint8) * 255), window, image_size) > 127 for mask in masks
        ]
        inside = [mask for mask in inside if mask.any()]
        if not inside:
            continue
        if random.random() < 0.5:
            image, inside = image[:, ::-1], [mask[:, ::-1] for mask in inside]
        return image, inside
    raise DatasetError(f"hardly any image with masks can be used; {skipped.summary()}")


def usable_masks(picture: Picture, skipped: Skipped) -> list[Mask]:
    """The masks of an image; damaged and empty ones are recorded.  Raises MinisamError if there are none."""
    read = (usable_mask(segment, skipped) for segment in picture.segments if not segment.crowd)
    masks = [mask for mask in read if mask is not None]
    if not masks:
        raise MinisamError(f"{picture.name}: no usable mask")
    return masks


def scaled(
    image: Image.Image, window: tuple[float, float, float, float], image_size: int
) -> NDArray[np.uint8]:
    """The part of an image in `window` (left, top, right, bottom) at S x S pixels."""
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=window))


def on_levels(masks: Sequence[Mask]) -> NDArray[np.int16]:
    """m masks [S, S] that may overlap -> labels int16 [3, S, S]; nodes are counted from the largest, -1 = none."""
    labels = np.full((3, *masks[0].shape), -1, np.int16)
    node = 0
    for mask in sorted(masks, key=np.count_nonzero, reverse=True)[:MAX_NODES]:
        covered = (labels[:, mask] >= 0).mean(axis=1)
        free = np.flatnonzero(covered <= OVERLAP)
        if len(free):
            level = labels[free[0]]
            level[mask & (level < 0)] = node
            node += 1
    return labels

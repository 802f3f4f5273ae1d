"""Training batches from a folder of images with masks, in place of PartWorld's scenes.

    image [H, W]    ->  longest side to S pixels, as in SAM  ->  padded right and below
    masks           ->  the same, with the same filter; more than half covered counts as inside

Targets are drawn as from PartWorld: at random, without those over 90 % of the image or under `min_area` of the
network's input; an image without other masks gives its largest one.  A damaged, missing or empty image or mask is
recorded, and another one is drawn in its place. The batch of a step depends only on its seed and the files.
`repeats` gives, by folder, how many times as often as others its images are drawn; 0 means never.

B images   M masks of an image   S side of the network's input   h, w of the image in it
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from minisam.data.segmentation_folder import (
    Picture,
    Segment,
    SegmentationFolder,
    open_folder,
    validation_split,
)
from minisam.data.segments import usable_mask
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, MinisamError
from minisam.predict.resize_longest_side import ResizeLongestSide
from minisam.train.targets import MAX_AREA

MAX_MASKS = 64
"""The most masks of an image that are read in a step (the paper: 64 on a GPU)."""
FAILURES_IN_A_ROW = 200
Repeats = tuple[tuple[str, int], ...]
"""Names of folders directly below the data, and how many times each of their images is drawn."""


class PictureBatch(NamedTuple):
    """The batch of a step, and the files that could not be used."""

    images: list[Tensor]
    """B times uint8 [3, h, w]; max(h, w) = S."""
    masks: Tensor
    """[B, M, S, S] bool, none empty."""
    labels: Tensor
    """int16 [B, 3, S, S], see `nesting_labels`."""
    skipped: Skipped


def load_batch(
    path: Path,
    validation: float,
    seed: int,
    batch_size: int,
    image_size: int,
    masks_per_image: int,
    min_area: float,
    all_masks: bool,
    repeats: Repeats = (),
) -> PictureBatch:
    """Draw images, with replacement, from those not held out, and masks of each.

    `all_masks` reads up to `MAX_MASKS` of each for the labels, instead of only the M that are needed.

    Raises DatasetError if hardly any image can be used.
    """
    folder, training, _ = open_split(path, validation, repeats)
    generator, skipped = np.random.default_rng(seed), Skipped()
    images, masks, labels, failures = [], [], [], 0
    limit = MAX_MASKS if all_masks else masks_per_image
    while len(images) < batch_size:
        index = training[generator.integers(len(training))]
        try:
            image, found = prepare(folder.read(index), image_size, limit, min_area, generator, skipped)
        except (MinisamError, OSError) as error:
            skipped.add(folder.names[index], error)
            failures += 1
            if failures == FAILURES_IN_A_ROW:
                raise DatasetError(f"{path}: hardly any image can be used; {skipped.summary()}") from None
            continue
        failures = 0
        images.append(image)
        masks.append(found[torch.arange(masks_per_image) % len(found)])
        labels.append(nesting_labels(found))
    return PictureBatch(images, torch.stack(masks), torch.stack(labels), skipped)


@lru_cache(maxsize=1)
def open_split(
    path: Path, validation: float, repeats: Repeats = ()
) -> tuple[SegmentationFolder, list[int], list[int]]:
    """A folder and the numbers of its images to train on and to hold out; opened once in a process.

    A number is in the list for training as often as `repeats` says for its image.
    """
    folder = open_folder(path)
    training, held_out = validation_split(folder.names, validation)
    times = dict(repeats)
    folders = {Path(name).parts[0] for name in folder.names}
    if unknown := sorted(times.keys() - folders):
        raise DatasetError(f"{path}: no images in a folder {unknown[0]!r}, which should be repeated")
    repeated = [n for n in training for _ in range(times.get(Path(folder.names[n]).parts[0], 1))]
    if not repeated:
        raise DatasetError(f"{path}: every image should be repeated 0 times; none is left for training")
    return folder, repeated, held_out


def prepare(
    picture: Picture,
    image_size: int,
    limit: int,
    min_area: float,
    generator: np.random.Generator,
    skipped: Skipped,
    fallback: bool = True,
) -> tuple[Tensor, Tensor]:
    """An image at the network's scale, uint8 [3, h, w], and at most `limit` of its masks, [m, S, S], m >= 1.

    With `fallback`, the largest mask is used if all are too small or too large.

    Raises MinisamError if it has no usable mask.
    """
    image = ResizeLongestSide(image_size).apply_image(picture.image)
    size = (image.shape[0], image.shape[1])
    smallest, largest = min_area * image_size**2, MAX_AREA * size[0] * size[1]
    chosen, other, other_area = [], None, 0.0
    for place in generator.permutation(len(picture.segments)).tolist():
        if len(chosen) == limit:
            break
        segment = picture.segments[place]
        mask = None if segment.crowd else scaled_mask(segment, size, skipped)
        if mask is None:
            continue
        area = np.count_nonzero(mask)
        if smallest <= area <= largest:
            chosen.append(mask)
        elif fallback and area > other_area:
            other, other_area = mask, area
    if not chosen and other is not None:
        chosen = [other]
    if not chosen:
        raise MinisamError(f"{picture.name}: no usable mask")
    padding = (0, image_size - size[1], 0, image_size - size[0])
    masks = F.pad(torch.from_numpy(np.stack(chosen)), padding)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous(), masks


def scaled_mask(segment: Segment, size: tuple[int, int], skipped: Skipped) -> NDArray[np.bool_] | None:
    """A mask at `size` (h, w), or None if it is empty at that size.

    A mask that is damaged or empty in the file is recorded with the reason.
    """
    mask = usable_mask(segment, skipped)
    if mask is None:
        return None
    covered = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (size[1], size[0]), Image.Resampling.BILINEAR
    )
    scaled = np.asarray(covered) > 127
    return scaled if scaled.any() else None


def nesting_labels(masks: Tensor) -> Tensor:
    """Masks [m, S, S] that may overlap -> int16 [3, S, S], as the label maps of PartWorld.

    For each pixel, the indices in `masks` of the largest, the second largest and the smallest mask over it; -1 if
    there are fewer.
    """
    order = masks.flatten(1).sum(dim=1).argsort(descending=True, stable=True)
    by_size = masks[order]
    nested = by_size.cumsum(dim=0, dtype=torch.int16)
    place = torch.arange(len(masks), dtype=torch.int16)[:, None, None]
    at_depth = [by_size & (nested == 1), by_size & (nested == 2), by_size & (nested >= 3)]
    found = torch.stack([torch.where(there, place, -1).amax(dim=0) for there in at_depth])
    return torch.where(found >= 0, order[found.clamp(min=0).long()], -1).to(torch.int16)

"""Scenes of cut-outs on photographs, in PartWorld's format: images, label maps, and one node per object.

    background -> for each object from back to front: shadow, colour, paste -> one camera over everything

Scene i of a seed depends only on (seed, i), the size and the two folders.  If a file is damaged, it is recorded in
`skipped` and another one is drawn in its place.

B scenes   S pixels per side   K node slots
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from minisam.data.cutouts.camera import photograph
from minisam.data.cutouts.folder import (
    CutoutFolders,
    Part,
    level_for,
    load_background,
    load_cutout,
    open_cutouts,
)
from minisam.data.cutouts.light import SHADOW_SHARE, cast_shadow, relight
from minisam.data.cutouts.paste import lay_over, warp
from minisam.data.cutouts.placement import sample_placements
from minisam.data.partworld import SceneBatch
from minisam.data.partworld.batch import MAX_NODES
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, ImageError

FAILURES_IN_A_ROW = 200
ENLARGED_FROM = (0.35, 0.7)
"""The size at which an enlarged scene is drawn, as a share of the image's."""
T = TypeVar("T")


class CutoutBatch(NamedTuple):
    """Scenes, and the files that could not be decoded."""

    scenes: SceneBatch
    skipped: Skipped


def render_cutouts(
    cutouts: Path,
    backgrounds: Path,
    seed: int,
    batch_size: int,
    image_size: int = 256,
    part: Part = "training",
    leave_out: tuple[str, ...] = (),
    layered: float = 0.0,
    enlarged: float = 0.0,
) -> CutoutBatch:
    """Draw B scenes of S pixels with the exact visible mask of every object.

    Objects are wholes (level 0); there are no parts.  `part` and `leave_out` are those of `open_cutouts`;
    `layered` is the share of scenes with large objects behind small ones; `enlarged` is the share of scenes that are
    drawn smaller and enlarged as a whole, so that objects can be larger than their files allow.

    Raises:
        DatasetError: a folder is missing, or has no or hardly any usable files.
        ValueError: fewer than one image, or less than 32 pixels per side.
    """
    if image_size < 32 or batch_size < 1:
        raise ValueError(f"cannot draw {batch_size} images of {image_size} px; use at least 1 image of 32 px")
    folders = open_cutouts(cutouts, backgrounds, part, leave_out)
    skipped = Skipped()
    images = np.empty((batch_size, image_size, image_size, 3), np.uint8)
    labels = np.full((batch_size, 3, image_size, image_size), -1, np.int16)
    for i in range(batch_size):
        random = np.random.default_rng([seed % 2**63, i])
        images[i], labels[i, 0] = draw_scene(random, folders, image_size, skipped, layered, enlarged)
    return CutoutBatch(as_scene_batch(images, labels), skipped)


def draw_scene(
    random: np.random.Generator,
    folders: CutoutFolders,
    image_size: int,
    skipped: Skipped,
    layered: float = 0.0,
    enlarged: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """One image [S, S, 3] and the object visible at each pixel [S, S], -1 = none."""
    side = image_size
    if enlarged and random.random() < enlarged:
        side = round(image_size * random.uniform(*ENLARGED_FROM))
    image = draw_background(random, folders, side, skipped)
    label = np.full((side, side), -1, np.int16)
    for node, place in enumerate(sample_placements(random, len(folders.cutout_names), layered)):
        first = folders.cutouts / folders.cutout_names[place.cutout]
        levels = first_usable(random, first, folders.cutouts, folders.cutout_names, load_cutout, skipped)
        sprite = warp(levels, place, side)
        if sprite is None:
            continue
        if random.random() < SHADOW_SHARE:
            cast_shadow(random, image, sprite)
        sprite = relight(random, sprite, image[sprite.rows, sprite.columns])
        mask = lay_over(image, sprite)
        label[sprite.rows, sprite.columns][mask] = node
    if side != image_size:
        image, label = enlarge(image, label, image_size)
    return photograph(random, image), label


def enlarge(
    image: NDArray[np.float32], label: NDArray[np.int16], image_size: int
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """image [s, s, 3] by cubic interpolation and label [s, s] by the nearest pixel -> S pixels per side."""
    size = (image_size, image_size)
    channels = [
        Image.fromarray(image[:, :, c]).resize(size, Image.Resampling.BICUBIC) for c in range(image.shape[2])
    ]
    nearest = Image.fromarray(label.astype(np.int32)).resize(size, Image.Resampling.NEAREST)
    return np.stack([np.asarray(one) for one in channels], axis=2), np.asarray(nearest).astype(np.int16)


def draw_background(
    random: np.random.Generator, folders: CutoutFolders, image_size: int, skipped: Skipped
) -> NDArray[np.float32]:
    """A square part of a background, perhaps mirrored, [S, S, 3] float32."""
    names = folders.background_names
    first = folders.backgrounds / names[int(random.integers(len(names)))]
    levels = first_usable(random, first, folders.backgrounds, names, load_background, skipped)
    share = random.uniform(0.25, 1.0)
    corner = random.random(2)
    shorter, longer = min(levels[0].size), max(levels[0].size)
    level = level_for(levels, image_size / (share * shorter / longer))
    side = share * min(level.size)
    left, top = corner * (level.width - side, level.height - side)
    size = (image_size, image_size)
    square = level.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    pixels = np.asarray(square, np.float32)
    return pixels[:, ::-1].copy() if random.random() < 0.5 else pixels.copy()


def first_usable(
    random: np.random.Generator,
    path: Path,
    folder: Path,
    names: Sequence[str],
    load: Callable[[Path], T],
    skipped: Skipped,
) -> T:
    """The result of `load` for `path` or, if that is damaged, for a random one of `names`."""
    for _ in range(FAILURES_IN_A_ROW):
        try:
            return load(path)
        except (ImageError, OSError) as error:
            skipped.add(str(path), error)
            path = folder / names[int(random.integers(len(names)))]
    raise DatasetError(f"{folder}: hardly any file can be used; {skipped.summary()}")


def as_scene_batch(images: NDArray[np.uint8], labels: NDArray[np.int16]) -> SceneBatch:
    """images [B, S, S, 3] and labels [B, 3, S, S] -> a SceneBatch with visible areas and levels, without parents."""
    batch = len(images)
    counts = np.array(
        [
            [np.bincount(of_level.ravel() + 1, minlength=MAX_NODES + 1)[1:] for of_level in one]
            for one in labels
        ]
    )
    area = counts.sum(axis=1)
    level = np.where(area > 0, counts.argmax(axis=1), -1)
    return SceneBatch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(labels),
        level=torch.from_numpy(level.astype(np.int8)),
        parent=torch.full((batch, MAX_NODES), -1, dtype=torch.int16),
        area=torch.from_numpy(area.astype(np.int32)),
        captions=[[""] * MAX_NODES for _ in range(batch)],
    )

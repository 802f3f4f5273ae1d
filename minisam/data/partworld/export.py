"""Drawn scenes as a data set of files, in the common formats for images with masks.

Every visible node of a scene's part tree becomes an annotation, with its level, its parent and its caption. Ids
continue from image to image.  Scenes are drawn eight at a time, as in minisam/evaluate/targets.py; the first N images
of a larger data set are therefore those of a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minisam.data.coco import from_sa1b, write_coco
from minisam.data.images import save_image
from minisam.data.partworld.batch import SceneBatch
from minisam.data.partworld.render import render_scenes
from minisam.data.sa1b import Annotation, annotate, write_record
from minisam.errors import DatasetError
from minisam.locks import made_and_claimed

SCENES_PER_BATCH = 8
SEEDS = 1_000_000
"""Batch k of data set s is drawn with seed s · SEEDS + k; 2,000 data sets fit below the seeds of evaluation."""
LEVELS = ("whole", "part", "subpart")


class AnnotatedPicture(NamedTuple):
    """An image [S, S, 3] uint8 and an annotation for every visible node."""

    image: NDArray[np.uint8]
    annotations: list[Annotation]


def annotated_pictures(
    world: str, images: int, image_size: int = 256, seed: int = 0, **knobs: float
) -> Iterator[AnnotatedPicture]:
    """`images` images of a world.  Raises ValueError as `render_scenes` does."""

    def draw(batch_seed: int) -> SceneBatch:
        return render_scenes(batch_seed, SCENES_PER_BATCH, image_size, world, "cpu", **knobs)

    return annotated_scenes(draw, images, seed)


def annotated_scenes(draw: Callable[[int], SceneBatch], images: int, seed: int) -> Iterator[AnnotatedPicture]:
    """The first `images` images of data set `seed`; `draw` gives the scenes of a batch, from its seed."""
    ids = count(1)
    for batch, start in enumerate(range(0, images, SCENES_PER_BATCH)):
        scenes = draw(seed * SEEDS + batch)
        for place in range(min(SCENES_PER_BATCH, images - start)):
            image = scenes.images[place].permute(1, 2, 0).contiguous().numpy()
            yield AnnotatedPicture(image, annotate_scene(scenes, place, ids))


def annotate_scene(scenes: SceneBatch, place: int, ids: Iterator[int]) -> list[Annotation]:
    """The visible nodes of one scene of a batch, parents before their children."""
    labels, level = scenes.labels[place].numpy(), scenes.level[place].tolist()
    area, parent = scenes.area[place].tolist(), scenes.parent[place].tolist()
    visible = [node for node in range(len(level)) if level[node] >= 0 and area[node] > 0]
    id_of = {node: next(ids) for node in visible}
    annotations = []
    for node in visible:
        annotation = annotate(labels[level[node]] == node, id_of[node])
        annotation["level"] = level[node]
        annotation["parent_id"] = id_of.get(parent[node])
        annotation["caption"] = scenes.captions[place][node]
        annotations.append(annotation)
    return annotations


def write_sa1b(folder: Path, pictures: Iterator[AnnotatedPicture]) -> int:
    """Write sa_1.png, sa_1.json, sa_2.png, …; returns the number of images.

    Raises DatasetError if the folder has records of another data set, MinisamError if another run writes into it.
    """
    number = 0
    with begin_writing(folder):
        for number, picture in enumerate(pictures, start=1):
            write_record(folder, picture.image, picture.annotations, number, suffix=".png")
    return number


def write_as_coco(folder: Path, pictures: Iterator[AnnotatedPicture]) -> int:
    """Write images/000001.png, … and annotations/instances.json, with a category for each level of the part tree.

    Raises the same errors.
    """
    entries: list[dict[str, Any]] = []
    converted: list[dict[str, Any]] = []
    with begin_writing(folder):
        first = list(islice(pictures, 1))  # drawn before the folders are made: bad data leave none behind
        for part in ("images", "annotations"):
            (folder / part).mkdir(exist_ok=True)
        for number, picture in enumerate(chain(first, pictures), start=1):
            height, width = picture.image.shape[:2]
            name = f"{number:06}.png"
            save_image(folder / "images" / name, picture.image)
            entries.append({"id": number, "width": width, "height": height, "file_name": name})
            converted += [from_sa1b(one, number, one.get("level", 0) + 1) for one in picture.annotations]
        categories = {index: level for index, level in enumerate(LEVELS, start=1)}
        write_coco(folder / "annotations" / "instances.json", entries, converted, categories)
    return len(entries)


@contextmanager
def begin_writing(folder: Path) -> Iterator[None]:
    """Make the folder and keep other runs out of it; one in which nothing was written is removed again.

    Raises MinisamError if another run writes into it, DatasetError if it already has JSON files, which would be read as
    part of this data set, or images where its own are written, which could be replaced.
    """
    with made_and_claimed(folder):
        for pattern in ("**/*.json", "sa_*.png", "images/*.png"):
            if found := next(folder.glob(pattern), None):
                raise DatasetError(
                    f"{folder}: already has a data set ({found.name}); choose another folder, or empty this one"
                )
        yield

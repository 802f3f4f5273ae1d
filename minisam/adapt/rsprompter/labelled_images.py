"""Images whose objects have categories, for training and measuring a detector: of a COCO folder, or of a world.

world      every visible whole with at least 1/1024 of the image; its category is the template's name
folder     every annotation that is not a crowd; categories are those of the file
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from minisam.data.coco import CocoFile, category_of
from minisam.data.partworld import VARIANTS, WORLDS, SceneBatch, render_scenes
from minisam.data.segmentation_folder import CocoFolder, Picture, Segment, open_folder
from minisam.errors import DatasetError
from minisam.evaluate.targets import SCENES_PER_BATCH, evaluation_scenes, first_scenes
from minisam.masks.rle import compress_rle, encode_rle
from minisam.seeds import hash_seed

LEAST_SHARE = 1 / 1024


class LabelledImages(Protocol):
    """Images by number; `categories` maps ids to names."""

    names: Sequence[str]
    categories: dict[Any, str]

    def read(self, index: int) -> Picture:
        """Raises MinisamError if this image is damaged or missing."""
        ...

    def fingerprint(self) -> str:
        """Changes with the data."""
        ...


class WorldImages:
    """`images` scenes of a world, drawn once and kept: 0.2 MB each at 256 pixels.

    `seed` 0, 1, … gives other scenes; those of evaluation are never those of training.
    """

    def __init__(
        self, world: str, images: int, image_size: int, seed: int = 0, evaluation: bool = False
    ) -> None:
        names = [template.name for template in (WORLDS | VARIANTS)[world].templates]
        self.categories: dict[Any, str] = dict(enumerate(dict.fromkeys(names), start=1))
        self.about = f"{world} {images} {image_size} {seed} {evaluation}"
        ids = {name: number for number, name in self.categories.items()}
        self.pictures: list[Picture] = []
        batches = training_scenes(world, images, image_size, seed)
        if evaluation:
            batches = evaluation_scenes(world, images, image_size, seed)
        for scenes in batches:
            for place in range(len(scenes.images)):
                name = f"{world} {len(self.pictures)}"
                self.pictures.append(labelled_picture(scenes, place, name, ids))
        self.names: Sequence[str] = [picture.name for picture in self.pictures]

    def read(self, index: int) -> Picture:
        return self.pictures[index]

    def fingerprint(self) -> str:
        return self.about


def training_scenes(world: str, images: int, image_size: int, seed: int) -> Iterator[SceneBatch]:
    """Like `evaluation_scenes`, with the seeds of training."""
    for batch in range(-(-images // SCENES_PER_BATCH)):
        scenes = render_scenes(hash_seed(seed, batch), SCENES_PER_BATCH, image_size, world)
        yield first_scenes(scenes, images - batch * SCENES_PER_BATCH)


def labelled_picture(scenes: SceneBatch, place: int, name: str, ids: dict[str, Any]) -> Picture:
    """One scene, with its wholes; the categories' `ids` by name."""
    image = scenes.images[place].permute(1, 2, 0).contiguous().numpy()
    size = image.shape[0], image.shape[1]
    levels, areas = scenes.level[place].tolist(), scenes.area[place].tolist()
    labels, segments = scenes.labels[place, 0].numpy(), []
    for node, (level, area) in enumerate(zip(levels, areas, strict=True)):
        if level == 0 and area >= LEAST_SHARE * size[0] * size[1]:
            caption = scenes.captions[place][node]
            category = next(
                ids[one] for one in sorted(ids, key=len, reverse=True) if caption.endswith(f" {one}")
            )
            segmentation = compress_rle(encode_rle(labels == node))
            segments.append(Segment(f"{name}#{node}", segmentation, size, category=category))
    return Picture(name, image, segments)


class FolderImages:
    """The images of a COCO folder or file.

    Raises DatasetError for another format, for a file without categories or annotations, and if no annotation has a
    mask and one of the categories, or all that have are crowds.
    """

    def __init__(self, path: Path, needs_annotations: bool = True) -> None:
        folder = open_folder(path)
        if not isinstance(folder, CocoFolder):
            raise DatasetError(f"{path}: a detector needs categories: COCO's format, not SA-1B's")
        content = folder.content
        if not content.categories:
            raise DatasetError(f'{folder.path}: no "categories", which a detector should tell apart')
        if needs_annotations:
            check_annotations(folder.path, content)
        self.folder, self.categories, self.names = folder, content.categories, folder.names

    def read(self, index: int) -> Picture:
        return self.folder.read(index)

    def fingerprint(self) -> str:
        return self.folder.fingerprint()


def check_annotations(path: Path, content: CocoFile) -> None:
    """Raises DatasetError if there is no mask of a category that a detector can learn."""
    annotations = [one for own in content.annotations.values() for one in own]
    if not annotations:
        raise DatasetError(f"{path}: no annotations, and therefore nothing to learn")
    masks = [one for one in annotations if one.get("segmentation") and category_of(one) in content.categories]
    if not masks:
        raise DatasetError(
            f"{path}: no annotation has a segmentation and a category_id that is among the categories "
            f"({', '.join(map(repr, list(content.categories)[:5]))})"
        )
    if all(one.get("iscrowd") in (1, True) for one in masks):
        raise DatasetError(f"{path}: all annotations are crowds (iscrowd 1), and nothing is learned")

"""A folder of images with masks, in one of three formats.

    SA-1B    DIR/**/NAME.json, each with its image beside it, or at its file_name relative to DIR
    COCO     DIR/annotations/NAME.json or DIR/NAME.json, or that file itself; images in DIR, in DIR/images,
             or in a folder named like the file's last word: instances_train2017.json -> DIR/train2017
    files    masks in image files, DIR/masks/NAME.png (minisam/data/mask_folder.py), if there is no such JSON file

Opening reads only names (and COCO's one file). An image is read when it is requested, and a mask is decoded when its
pixels are needed.  Damaged or missing files raise an error at that point, and the caller skips them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minisam.data.coco import CocoFile, category_of, is_coco, read_coco
from minisam.data.image_of_size import TellOnce, load_image_of_size
from minisam.data.mask_folder import open_mask_folder
from minisam.data.sa1b import read_record
from minisam.data.segments import Picture, Segment, SegmentationFolder, digest, size_of
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError
from minisam.files import sha256_of
from minisam.json_files import read_json


def open_folder(path: str | os.PathLike[str]) -> SegmentationFolder:
    """Detect the format of a folder, or of a COCO file, and list its images.

    Hidden files and folders are left out: a notebook's .ipynb_checkpoints has copies of records.

    Raises:
        DatasetError: there are no files, or none in these formats, or several COCO files.
    """
    path = Path(path)
    if path.is_file():
        return open_coco(path)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder; give one with images and their masks")
    files = [file for file in sorted(path.rglob("*.json")) if not is_hidden(file.relative_to(path))]
    unreadable = Skipped()
    for file in files:
        try:
            content = read_json(file)
        except DatasetError as error:
            unreadable.add(str(file), error)
            continue
        if is_coco(content):
            return open_coco(only_coco_file(path, files))
        if isinstance(content, dict) and "image" in content:
            return Sa1bFolder(path, [str(file.relative_to(path)) for file in files])
    if not unreadable and (masks := open_mask_folder(path)) is not None:
        return masks
    raise DatasetError(
        f"{path}: no JSON file in the format of SA-1B or COCO, and no masks in files such as masks/NAME.png"
        + (f" ({unreadable.summary()})" if unreadable else "")
    )


def is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def only_coco_file(folder: Path, files: Sequence[Path]) -> Path:
    """Of several COCO files, the one whose name starts with instances; more than one is an error."""
    named = [file for file in files if file.name.startswith("instances")]
    candidates = named or [file for file in files if holds_coco(file)]
    if len(candidates) > 1:
        listed = ", ".join(str(file) for file in candidates[:5])
        raise DatasetError(f"{folder}: several COCO files; give the path of one of them: {listed}")
    return candidates[0]


def holds_coco(file: Path) -> bool:
    try:
        return is_coco(read_json(file))
    except DatasetError:
        return False


@dataclass
class Sa1bFolder:
    """A folder with a record beside each image."""

    path: Path
    names: Sequence[str]
    skipped: Skipped = field(default_factory=Skipped)
    tell: TellOnce = field(default_factory=TellOnce)

    def read(self, index: int) -> Picture:
        name = self.names[index]
        record = read_record(self.path / name)
        entry, size = record["image"], (record["image"]["height"], record["image"]["width"])
        segments = [
            Segment(f"{name}#{one.get('id', place)}", one.get("segmentation"), size)
            for place, one in enumerate(record["annotations"])
        ]
        beside = (self.path / name).parent
        image_path = first_file([beside / entry["file_name"], self.path / entry["file_name"]])
        return Picture(name, load_image_of_size(image_path, size, self.tell), segments)

    def fingerprint(self) -> str:
        return digest(f"{name} {size_of(self.path / name)}" for name in self.names)


@dataclass
class CocoFolder:
    """One COCO file and the images that it names."""

    path: Path
    content: CocoFile
    tell: TellOnce = field(default_factory=TellOnce)

    def __post_init__(self) -> None:
        self.names: Sequence[str] = [image["file_name"] for image in self.content.images]
        self.skipped = self.content.skipped
        home = self.path.resolve().parent
        top = home.parent if home.name == "annotations" else home
        last_word = self.path.stem.rpartition("_")[2]
        self.image_folders = [top, top / "images", top / last_word, top / "images" / last_word]

    def read(self, index: int) -> Picture:
        entry = self.content.images[index]
        name, size = entry["file_name"], (entry["height"], entry["width"])
        segments = [
            Segment(
                f"{name}#{one.get('id', place)}",
                one.get("segmentation"),
                size,
                one.get("iscrowd") in (1, True),
                category_of(one),
            )
            for place, one in enumerate(self.content.annotations.get(entry["id"], []))
        ]
        image_path = first_file([folder / name for folder in self.image_folders])
        return Picture(name, load_image_of_size(image_path, size, self.tell), segments)

    def fingerprint(self) -> str:
        return sha256_of(self.path)


def open_coco(path: Path) -> CocoFolder:
    """The images of a COCO file.  Raises DatasetError if none has an id, a name and a size."""
    content = read_coco(path)
    if not content.images:
        why = content.skipped.summary() or "its list of images is empty"
        raise DatasetError(f"{path}: no usable image; {why}")
    return CocoFolder(path, content)


def first_file(candidates: Sequence[Path]) -> Path:
    """The first path that exists, or simply the first, for the error that reading it will raise."""
    return next((path for path in candidates if path.is_file()), candidates[0])


def validation_split(names: Sequence[str], share: float) -> tuple[list[int], list[int]]:
    """Numbers of the images for training and of those to hold out, at least one of each if `share` > 0.

    An image's position depends only on its name; adding images moves only a few at the border between the two.  The
    first of the held-out images are a random sample of them.

    Raises:
        DatasetError: there are too few images, or `share` is not in 0 … 1.
    """
    if not 0 <= share < 1:
        raise DatasetError(f"a validation share of {share} is not possible; use 0 or more, and less than 1")
    held_out = min(max(1, round(share * len(names))), len(names) - 1) if share else 0
    if not names or (share and not held_out):
        raise DatasetError(f"{len(names)} images are too few for training")
    order = hashed_order(names)
    return sorted(order[held_out:]), order[:held_out]


def hashed_order(names: Sequence[str]) -> list[int]:
    """The numbers of the names, ordered by a hash of each: like a random order, but always the same."""
    return sorted(range(len(names)), key=lambda index: digest([names[index]]))

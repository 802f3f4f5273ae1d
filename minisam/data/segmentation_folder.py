"""A folder of one's own pictures with masks, whichever of the two formats it is in.

    SA-1B    DIR/**/NAME.json, each with its image beside it, or where its name says, seen from DIR
    COCO     DIR/annotations/NAME.json or DIR/NAME.json, or that file itself; images in DIR, in DIR/images,
             or in a folder called as the file's last word says: instances_train2017.json -> DIR/train2017

Opening reads names alone (and COCO's one file); a picture is read when it is asked for, and a mask decoded
when somebody wants its pixels.  What is damaged or missing raises where it is asked for; the caller skips it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minisam.data.coco import CocoFile, decode_segmentation, is_coco, read_coco
from minisam.data.image_of_size import TellOnce, load_image_of_size
from minisam.data.sa1b import read_record
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError
from minisam.files import sha256_of
from minisam.json_files import read_json


@dataclass(frozen=True)
class Segment:
    """One mask of a picture, encoded."""

    name: str
    segmentation: Any
    size: tuple[int, int]
    crowd: bool = False

    def mask(self) -> NDArray[np.bool_]:
        """[H, W] bool.  Raises DatasetError or RleError where it is damaged."""
        return decode_segmentation(self.segmentation, self.size)


@dataclass(frozen=True)
class Picture:
    """An image [H, W, 3] uint8 and its masks."""

    name: str
    image: NDArray[np.uint8]
    segments: list[Segment]


class SegmentationFolder(Protocol):
    """Pictures by number; `names` are those of the image or record files."""

    path: Path
    names: Sequence[str]
    skipped: Skipped
    """What was found to be unusable when the folder was opened."""

    def read(self, index: int) -> Picture:
        """Raises DatasetError, ImageError or RleError where this picture is damaged or missing."""
        ...

    def fingerprint(self) -> str:
        """What changes with the records: the names and sizes of SA-1B's, or COCO's file.  Images do not enter."""
        ...


def open_folder(path: str | os.PathLike[str]) -> SegmentationFolder:
    """Find out the format of a folder, or of a COCO file, and list its pictures.

    Raises:
        DatasetError: nothing is there, or nothing in these formats, or several COCO files.
    """
    path = Path(path)
    if path.is_file():
        return CocoFolder(path, read_coco(path))
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder; give one in the format of SA-1B or COCO")
    files = sorted(path.rglob("*.json"))
    unreadable = Skipped()
    for file in files:
        try:
            content = read_json(file)
        except DatasetError as error:
            unreadable.add(str(file), error)
            continue
        if is_coco(content):
            chosen = only_coco_file(path, files)
            return CocoFolder(chosen, read_coco(chosen))
        if isinstance(content, dict) and "image" in content:
            return Sa1bFolder(path, [str(file.relative_to(path)) for file in files])
    raise DatasetError(
        f"{path}: no JSON file in the format of SA-1B or COCO"
        + (f" ({unreadable.summary()})" if unreadable else "")
    )


def only_coco_file(folder: Path, files: Sequence[Path]) -> Path:
    """Of several files in that format the one whose name starts with instances; more than one is an error."""
    named = [file for file in files if file.name.startswith("instances")]
    candidates = named or [file for file in files if holds_coco(file)]
    if len(candidates) > 1:
        listed = ", ".join(str(file) for file in candidates[:5])
        raise DatasetError(f"{folder}: several COCO files; name the one that is meant: {listed}")
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
            )
            for place, one in enumerate(self.content.annotations.get(entry["id"], []))
        ]
        image_path = first_file([folder / name for folder in self.image_folders])
        return Picture(name, load_image_of_size(image_path, size, self.tell), segments)

    def fingerprint(self) -> str:
        return sha256_of(self.path)


def size_of(file: Path) -> int:
    """Bytes, or -1 where nothing is behind the name; reading it will say so."""
    try:
        return file.stat().st_size
    except OSError:
        return -1


def first_file(candidates: Sequence[Path]) -> Path:
    """The first that is there, or the first of all, for the error that it will cause."""
    return next((path for path in candidates if path.is_file()), candidates[0])


def validation_split(names: Sequence[str], share: float) -> tuple[list[int], list[int]]:
    """Numbers of the pictures to train on and of those to hold out, at least one of each where `share` > 0.

    A picture's place follows from its name alone, so that pictures that come later leave it where it is,
    but for the few at the border.  The first of those held out are as good a sample as any.

    Raises:
        DatasetError: there are too few pictures, or `share` is not in 0 … 1.
    """
    if not 0 <= share < 1:
        raise DatasetError(f"a validation share of {share} is not possible; use 0 or more, and less than 1")
    held_out = min(max(1, round(share * len(names))), len(names) - 1) if share else 0
    if not names or (share and not held_out):
        raise DatasetError(f"{len(names)} pictures are too few to train on")
    order = hashed_order(names)
    return sorted(order[held_out:]), order[:held_out]


def hashed_order(names: Sequence[str]) -> list[int]:
    """The numbers of the names, by a hash of each: as good as at random, and the same every time."""
    return sorted(range(len(names)), key=lambda index: digest([names[index]]))


def digest(lines: Iterator[str] | Sequence[str]) -> str:
    joined = hashlib.sha256()
    for line in lines:
        joined.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return joined.hexdigest()

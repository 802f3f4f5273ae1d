"""One file of masks for each image, in the schema of SA-1B, made so that work can be split, killed and resumed.

    {"image": {image_id, width, height, file_name},  "annotations": [{id, segmentation, bbox, area, …}, …],
     "generator": {weights, image, settings}}

Everything in a file follows from the image, the weights and the settings, and nothing from who made it or when;
the last entry says which they were.  A file is valid if that is what is wanted now and its masks are whole.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from minisam.data.image_listing import FIGURE_ENDING, SEGMENT_ENDING, image_listing  # noqa: F401
from minisam.data.sa1b import Record, read_record
from minisam.errors import GeneratorError, MinisamError
from minisam.json_files import read_json
from minisam.masks.rle import string_to_counts

# How a record begins, before its settings are known.
BEGINNING = b'{"image":{"image_id":%d,'
# An annotation's number is its image's times this, plus its place: unique among all images.
ANNOTATIONS_AN_IMAGE = 100_000


def list_images(path: Path) -> list[Path]:
    """The image files in a folder and its folders, in a fixed order, or the one file; see `image_listing`."""
    return image_listing(path).images


def shard_of(count: int, index: int, shards: int) -> range:
    """The places that shard `index` (1 … `shards`) of a list of `count` takes: every shards-th one."""
    return range(index - 1, count, shards)


def record_paths(images: Sequence[Path], top: Path, out: Path) -> list[Path]:
    """A record's place for each image: the same folders below `out`, the same name but .json.

    Images that differ in their suffix alone keep it: a.jpg, a.png -> a.jpg.json, a.png.json.  So does one whose
    record would have the name of theirs: a.jpg.png -> a.jpg.png.json.  Capitals do not tell names apart, as they
    do not on every disk.
    """
    names = [image.relative_to(top) for image in images]
    records = [f"{name.with_suffix('')}.json" for name in names]
    while True:
        count = Counter(record.casefold() for record in records)
        longer = [
            f"{name}.json" if count[record.casefold()] > 1 else record
            for name, record in zip(names, records, strict=True)
        ]
        if longer == records:
            return [out / record for record in records]
        records = longer


def provenance(weights: str, image: bytes, settings: dict[str, Any]) -> dict[str, Any]:
    """What a record is made of; `image` is the content of the file."""
    return {"weights": weights, "image": hashlib.sha256(image).hexdigest(), "settings": settings}


def make_record(
    file_name: str, size: tuple[int, int], masks: Sequence[dict[str, Any]], made_of: dict[str, Any]
) -> dict[str, Any]:
    """The file's content for an image of `size` (H, W); `masks` as the generator gives them as coco_rle."""
    image_id = number_of(file_name)
    first = image_id * ANNOTATIONS_AN_IMAGE
    return {
        "image": {"image_id": image_id, "width": size[1], "height": size[0], "file_name": file_name},
        "annotations": [{"id": first + place, **mask} for place, mask in enumerate(masks)],
        "generator": made_of,
    }


def number_of(file_name: str) -> int:
    """The image's number, from its name."""
    return int.from_bytes(hashlib.sha256(file_name.encode()).digest()[:4], "big")


def is_valid(path: Path, file_name: str, made_of: dict[str, Any]) -> bool:
    """Whether the file is there, says that it is of this image and made of this, and its masks are whole."""
    try:
        record = read_record(path)
        of_this = record["image"]["file_name"] == file_name and record.get("generator") == made_of
        return of_this and masks_are_whole(record)
    except (MinisamError, KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return False


def check_replaceable(path: Path, file_name: str, top: Path) -> None:
    """Raise GeneratorError where a file is there that `minisam amg` has not written for this image.

    Annotations by hand have such names too, and not everything that is no JSON is worthless.  A record of other
    settings may be replaced, and a damaged one that begins as this image's does.  One of another image, which is
    there in the folder `top`, stays as well.
    """
    if not os.path.lexists(path):
        return
    other = None
    try:
        content = read_json(path)
        ours = isinstance(content, dict) and is_made_of(content.get("generator"))
        other = read_record(path)["image"]["file_name"] if ours else None
    except MinisamError:
        ours = path.is_file() and path.read_bytes().startswith(BEGINNING % number_of(file_name))
    if not ours:
        raise GeneratorError(
            f"{path} was not written by minisam amg and stays; write elsewhere with -o FOLDER"
        )
    if other not in (None, file_name) and (top / other).is_file():
        raise GeneratorError(f"{path} is the record of {other} and stays; write elsewhere with -o FOLDER")


def is_made_of(generator: object) -> bool:
    """Whether this is what `provenance` gives."""
    return isinstance(generator, dict) and generator.keys() >= {"weights", "image", "settings"}


def masks_are_whole(record: Record) -> bool:
    """Whether every mask's runs fill the image, and its area is that of its runs."""
    size = [record["image"]["height"], record["image"]["width"]]
    for annotation in cast(list[dict[str, Any]], record["annotations"]):
        counts = string_to_counts(annotation["segmentation"]["counts"])  # RleError for a list of numbers
        if annotation["segmentation"]["size"] != size or counts.sum() != size[0] * size[1]:
            return False
        if counts[1::2].sum() != annotation["area"]:
            return False
    return True

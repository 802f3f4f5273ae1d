"""One file of masks for each image, in the schema of SA-1B; work can be split, killed and resumed.

    {"image": {image_id, width, height, file_name},  "annotations": [{id, segmentation, bbox, area, …}, …],
     "generator": {weights, image, settings}}

The content of a file depends only on the image, the weights and the settings, which are recorded in the last entry.
A file is valid if that entry has the requested values and its masks are complete.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from minisam.data.image_listing import FIGURE_ENDING, image_listing
from minisam.data.sa1b import Record, read_record
from minisam.errors import GeneratorError, MinisamError
from minisam.json_files import read_json
from minisam.masks.rle import string_to_counts

# The beginning of a record, before its settings.
BEGINNING = b'{"image":{"image_id":%d,'
# An annotation's number is its image's number times this, plus its index: unique among all images.
ANNOTATIONS_AN_IMAGE = 100_000


def list_images(path: Path) -> list[Path]:
    """The image files in a folder and its subfolders, in a fixed order, or the one file; see `image_listing`."""
    return image_listing(path).images


def shard_of(count: int, index: int, shards: int) -> range:
    """The indices of shard `index` (1 … `shards`) of a list of `count`: every shards-th one."""
    return range(index - 1, count, shards)


def record_paths(images: Sequence[Path], top: Path, out: Path) -> list[Path]:
    """The path of each image's record: the same folders below `out`, the same name with .json.

    Images that differ only in their suffix keep it: a.jpg, a.png -> a.jpg.json, a.png.json.  So does an image whose
    record would have the name of theirs: a.jpg.png -> a.jpg.png.json.  Names that differ only in capitals count as
    equal, as on some file systems.
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


def figure_path(record: Path) -> Path:
    """The file of a record's figure, beside it."""
    return record.with_name(record.stem + FIGURE_ENDING)


def provenance(weights: str, image: bytes, settings: dict[str, Any]) -> dict[str, Any]:
    """The origin of a record: hashes and settings; `image` is the content of the file."""
    return {"weights": weights, "image": hashlib.sha256(image).hexdigest(), "settings": settings}


def make_record(
    file_name: str, size: tuple[int, int], masks: Sequence[dict[str, Any]], made_of: dict[str, Any]
) -> dict[str, Any]:
    """The file's content for an image of `size` (H, W); `masks` are the generator's records in coco_rle format."""
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
    """Whether the file exists, is for this image with this origin, and its masks are complete."""
    try:
        record = read_record(path)
        of_this = record["image"]["file_name"] == file_name and record.get("generator") == made_of
        return of_this and masks_are_whole(record)
    except (MinisamError, KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return False


def check_replaceable(path: Path, file_name: str, top: Path) -> None:
    """Raise GeneratorError if the file exists and `minisam amg` did not write it for this image.

    Manual annotations may have the same names, and also files that are not JSON.  A record with other settings may be
    replaced, and a damaged one that begins like this image's record.  A record of another image that exists in the
    folder `top` is kept too.
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
            f"{path} was not written by minisam amg and is not replaced; choose another folder with -o"
        )
    if other not in (None, file_name) and (top / other).is_file():
        raise GeneratorError(
            f"{path} is the record of {other} and is not replaced; choose another folder with -o"
        )


def is_made_of(generator: object) -> bool:
    """Whether this is an output of `provenance`."""
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

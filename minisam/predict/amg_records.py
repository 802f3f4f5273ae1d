"""One file of masks for each image, in the schema of SA-1B, made so that work can be split, killed and resumed.

    {"image": {image_id, width, height, file_name},  "annotations": [{id, segmentation, bbox, area, …}, …],
     "generator": {weights, image, settings}}

Everything in a file follows from the image, the weights and the settings, and nothing from who made it or when;
the last entry says which they were.  A file is valid if that is what is wanted now and its masks are whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from minisam.data.images import READ_FORMATS
from minisam.data.rle import string_to_counts
from minisam.data.sa1b import Record, read_json, read_record
from minisam.errors import GeneratorError, MinisamError
from minisam.model import Sam

SUFFIXES = {".jpg", ".jpeg", *(f".{name.lower()}" for name in READ_FORMATS)}
FIGURE_ENDING, SEGMENT_ENDING = "_masks.png", "_segment.png"
# An annotation's number is its image's times this, plus its place: unique among all images.
ANNOTATIONS_AN_IMAGE = 100_000


def list_images(path: Path) -> list[Path]:
    """The image files in a folder and its folders, in a fixed order, or the one file.

    Our own figures are not among them.  Raises GeneratorError where there is none.
    """
    if not path.is_dir():
        return [path]
    files = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    images = sorted(
        (file for file in files if not file.name.endswith((FIGURE_ENDING, SEGMENT_ENDING))),
        key=lambda file: file.relative_to(path).as_posix(),
    )
    if not images:
        raise GeneratorError(f"{path}: no image files in this folder ({', '.join(sorted(SUFFIXES))})")
    return images


def shard_of(count: int, index: int, shards: int) -> range:
    """The places that shard `index` (1 … `shards`) of a list of `count` takes: every shards-th one."""
    return range(index - 1, count, shards)


def record_paths(images: Sequence[Path], top: Path, out: Path) -> list[Path]:
    """A record's place for each image: the same folders below `out`, the same name but .json.

    Images that differ in their suffix alone keep it: a.jpg, a.png -> a.jpg.json, a.png.json.
    """
    stems = [image.relative_to(top).with_suffix("") for image in images]
    shared = {stem for stem, count in Counter(stems).items() if count > 1}
    return [
        out / (f"{image.relative_to(top)}.json" if stem in shared else f"{stem}.json")
        for image, stem in zip(images, stems, strict=True)
    ]


def provenance(weights: str, image: bytes, settings: dict[str, Any]) -> dict[str, Any]:
    """What a record is made of; `image` is the content of the file."""
    return {"weights": weights, "image": hashlib.sha256(image).hexdigest(), "settings": settings}


def weights_digest(sam: Sam) -> str:
    """A name for the weights: the hash of all of them."""
    digest = hashlib.sha256()
    for name, tensor in sam.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def make_record(
    file_name: str, size: tuple[int, int], masks: Sequence[dict[str, Any]], made_of: dict[str, Any]
) -> dict[str, Any]:
    """The file's content for an image of `size` (H, W); `masks` as the generator gives them as coco_rle."""
    image_id = int.from_bytes(hashlib.sha256(file_name.encode()).digest()[:4], "big")
    first = image_id * ANNOTATIONS_AN_IMAGE
    return {
        "image": {"image_id": image_id, "width": size[1], "height": size[0], "file_name": file_name},
        "annotations": [{"id": first + place, **mask} for place, mask in enumerate(masks)],
        "generator": made_of,
    }


def is_valid(path: Path, file_name: str, made_of: dict[str, Any]) -> bool:
    """Whether the file is there, says that it is of this image and made of this, and its masks are whole."""
    try:
        record = read_record(path)
        of_this = record["image"]["file_name"] == file_name and record.get("generator") == made_of
        return of_this and masks_are_whole(record)
    except (MinisamError, KeyError, TypeError, AttributeError):
        return False


def check_replaceable(path: Path) -> None:
    """Raise GeneratorError where the file is JSON, but not from here: annotations by hand have such names too.

    A damaged file, and one of other settings, may be replaced.
    """
    try:
        content = read_json(path)
    except MinisamError:
        return
    if not (isinstance(content, dict) and "generator" in content):
        raise GeneratorError(
            f"{path} was not written by minisam amg and stays; write elsewhere with -o FOLDER"
        )


def masks_are_whole(record: Record) -> bool:
    """Whether every mask's runs fill the image, and its area is that of its runs."""
    size = [record["image"]["height"], record["image"]["width"]]
    for annotation in cast(list[dict[str, Any]], record["annotations"]):
        counts = string_to_counts(annotation["segmentation"]["counts"])
        if annotation["segmentation"]["size"] != size or counts.sum() != size[0] * size[1]:
            return False
        if counts[1::2].sum() != annotation["area"]:
            return False
    return True

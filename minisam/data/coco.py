"""The COCO format: one JSON file for all images of a data set (cocodataset.org, "Data format").

    {"images":      [{id, width, height, file_name}, …],
     "annotations": [{id, image_id, category_id, segmentation, area, bbox, iscrowd}, …],
     "categories":  [{id, name}, …]}

A segmentation is one of
    [[x0, y0, x1, y1, …], …]                   polygons, whose union is the mask (minisam/masks/polygons.py)
    {"size": [H, W], "counts": [ … ]}          runs, as in COCO's crowd annotations
    {"size": [H, W], "counts": "52203"}        runs, compressed
bbox is [x, y, width, height] and includes the last column and row: one more than SA-1B's.
iscrowd = 1 marks a group whose objects are not annotated separately: it is not a target, and a mask on it is not an
error.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minisam.data.sa1b import Annotation, check_image_entry
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError
from minisam.json_files import read_json, write_json
from minisam.masks.polygons import polygons_to_mask
from minisam.masks.rle import compress_rle, decode_rle, encode_rle


@dataclass(frozen=True)
class CocoFile:
    """The usable part of a file: every image has a size and a name, every annotation an image.

    Masks stay encoded, and may still be damaged.
    """

    images: list[dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]]
    """The annotations by image id, without entries for images that have none."""
    categories: dict[Any, str]
    skipped: Skipped = field(default_factory=Skipped)


def read_coco(path: str | os.PathLike[str]) -> CocoFile:
    """Read a COCO file.

    Raises:
        DatasetError: there is no such file, it is not JSON, or it has no lists of images and annotations.
    """
    name, content = os.fspath(path), read_json(path)
    if not is_coco(content):
        raise DatasetError(f'{name}: not a COCO file; it has no lists "images" and "annotations"')
    skipped, images = Skipped(), {}
    for place, image in enumerate(content["images"]):
        try:
            if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
                raise DatasetError(f"{name}: an image without an id")
            check_image_entry(image, name)
            if image["id"] in images:
                raise DatasetError(f"{name}: a second image with the id {image['id']!r}")
            images[image["id"]] = image
        except DatasetError as error:
            skipped.add(f"image {place} of {name}", error)
    annotations = defaultdict(list)
    for place, annotation in enumerate(content["annotations"]):
        owner = annotation.get("image_id") if isinstance(annotation, dict) else None
        if isinstance(owner, int | str) and owner in images:
            annotations[owner].append(annotation)
        else:
            skipped.add(f"annotation {place} of {name}", f"there is no image {owner!r}")
    categories = content.get("categories")
    names = {
        one["id"]: str(one.get("name", one["id"]))
        for one in (categories if isinstance(categories, list) else [])
        if isinstance(one, dict) and isinstance(one.get("id"), int | str)
    }
    return CocoFile(list(images.values()), dict(annotations), names, skipped)


def is_coco(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    )


def category_of(annotation: dict[str, Any]) -> Any:
    """The id of its category, or None if it has none."""
    given = annotation.get("category_id")
    return given if isinstance(given, int | float | str) else None


def decode_segmentation(segmentation: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Polygons or runs, for an image of `size` (H, W) -> mask [H, W] bool.

    Raises:
        DatasetError: neither polygons nor runs, or runs of an image of another size.
        RleError: runs that contradict themselves.
    """
    if isinstance(segmentation, list):
        return polygons_to_mask(segmentation, size)
    if not isinstance(segmentation, dict):
        raise DatasetError("a segmentation must be polygons or run lengths")
    mask = decode_rle(segmentation)
    if mask.shape != size:
        raise DatasetError(
            f"a mask of {mask.shape[0]}x{mask.shape[1]} pixels for an image of {size[0]}x{size[1]}"
        )
    return mask


def coco_annotation(
    mask: NDArray[np.bool_],
    annotation_id: int,
    image_id: int,
    category_id: int = 1,
    crowd: bool = False,
    **extras: Any,
) -> dict[str, Any]:
    """The annotation of a mask [H, W] bool with compressed runs; uncompressed for a crowd, as in COCO."""
    mask = np.asarray(mask, bool)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    box = [0, 0, 0, 0]
    if len(columns):
        x0, x1, y0, y1 = int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])
        box = [x0, y0, x1 - x0 + 1, y1 - y0 + 1]
    rle = encode_rle(mask)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": rle if crowd else compress_rle(rle),
        "area": int(mask.sum()),
        "bbox": box,
        "iscrowd": int(crowd),
        **extras,
    }


def from_sa1b(annotation: Annotation, image_id: int, category_id: int = 1) -> dict[str, Any]:
    """An SA-1B annotation in COCO's format, with the same id; keys that COCO does not have are kept."""
    x, y, width, height = annotation.get("bbox", [0, 0, -1, -1])
    box = [x, y, width + 1, height + 1]
    return {**annotation, "image_id": image_id, "category_id": category_id, "bbox": box, "iscrowd": 0}


def write_coco(
    path: Path,
    images: Sequence[dict[str, Any]],
    annotations: Iterable[dict[str, Any]],
    categories: dict[int, str] | None = None,
) -> None:
    """Write a COCO file, completely or not at all; without `categories` there is one, "object"."""
    named = [{"id": number, "name": name} for number, name in (categories or {1: "object"}).items()]
    write_json(path, {"images": list(images), "annotations": list(annotations), "categories": named})

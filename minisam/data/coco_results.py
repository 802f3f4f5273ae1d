"""COCO's results format: what a detector found, one JSON list for all images (cocodataset.org, "Results format").

    [{image_id, category_id, score, bbox: [x, y, width, height], segmentation}, …]

A result has a box, a segmentation (as in minisam/data/coco.py), or both.  The ids are those of a COCO file with the
true objects.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from minisam.data.coco import coco_annotation
from minisam.errors import DatasetError
from minisam.json_files import read_json, write_json


@dataclass(frozen=True)
class Result:
    """An object that was found; `place` is its number in the file, for messages."""

    place: int
    image_id: Any
    category_id: Any
    score: float
    box: tuple[float, float, float, float] | None
    """(x, y, width, height)."""
    segmentation: Any = None


def read_results(path: str | os.PathLike[str]) -> list[Result]:
    """Read a results file.

    Raises DatasetError if it is no JSON list, or if one of its results has no ids, score, or place in its image:
    a measure of only a part of the results would be wrong.
    """
    name, content = os.fspath(path), read_json(path)
    if not isinstance(content, list):
        raise DatasetError(f"{name}: not COCO's results format, which is a list of results")
    results = []
    for place, one in enumerate(content):
        try:
            results.append(result_from_json(place, one))
        except DatasetError as error:
            raise DatasetError(f"{name}: result {place} {error}") from None
    return results


def result_from_json(place: int, one: object) -> Result:
    """Entry number `place` of a results file.  Raises DatasetError, without the place, for what is missing in it."""
    if not isinstance(one, dict):
        raise DatasetError("is not an object with image_id, category_id, score, and bbox or segmentation")
    for key in ("image_id", "category_id"):
        if not isinstance(one.get(key), int | str):
            raise DatasetError(f"has no {key}")
    score, box, segmentation = one.get("score"), one.get("bbox"), one.get("segmentation")
    if not is_number(score):
        raise DatasetError("has no score, or one that is not a finite number")
    if box is not None and not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        raise DatasetError("has a bbox that is not [x, y, width, height]")
    if box is None and segmentation is None:
        raise DatasetError("has neither bbox nor segmentation")
    numbers = None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return Result(place, one["image_id"], one["category_id"], float(score), numbers, segmentation)


def is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def coco_result(
    mask: NDArray[np.bool_],
    score: float,
    image_id: int | str,
    category_id: int | str,
    box: tuple[float, float, float, float] | None = None,
) -> dict[str, Any]:
    """The result of a mask [H, W] bool with a box (x, y, width, height), or else its tight box."""
    whole = coco_annotation(mask, 0, 0)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "score": score,
        "bbox": whole["bbox"] if box is None else list(box),
        "segmentation": whole["segmentation"],
    }


def write_results(path: Path, results: list[dict[str, Any]]) -> None:
    """Write a results file, completely or not at all."""
    write_json(path, results)

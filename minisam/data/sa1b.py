"""The SA-1B format: one JSON file for each image, next to it (segment-anything, README, "Dataset").

    sa_223750.jpg
    sa_223750.json    {"image": {image_id, width, height, file_name}, "annotations": [{…}, …]}

    segmentation      the mask, {"size": [H, W], "counts": COCO's compressed string}
    bbox              [x, y, width, height] around it, from the first to the last column and row: one less
                      than COCO's width and height
    area              its pixels
    point_coords      [[x, y]], the click that it came from, and crop_box, the part of the image that was segmented
    predicted_iou     the network's estimate of its quality; stability_score, how little it depends on the threshold

PartWorld adds level (0 whole, 1 part, 2 subpart), parent_id and caption.  Unknown keys are kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from minisam.data.images import save_image
from minisam.errors import DatasetError
from minisam.json_files import read_json, write_json
from minisam.limits import MAX_PIXELS
from minisam.masks.rle import compress_rle, encode_rle


class ImageEntry(TypedDict):
    """The image of a record."""

    image_id: int
    width: int
    height: int
    file_name: str


class Annotation(TypedDict, total=False):
    """One mask.  Only `segmentation` is required."""

    id: int
    segmentation: dict[str, Any]
    bbox: list[float]
    area: int
    predicted_iou: float
    stability_score: float
    point_coords: list[list[float]]
    crop_box: list[float]
    level: int
    parent_id: int | None
    caption: str


class Record(TypedDict):
    """The content of one JSON file."""

    image: ImageEntry
    annotations: list[Annotation]


def annotate(
    mask: NDArray[np.bool_],
    annotation_id: int,
    predicted_iou: float = 1.0,
    stability_score: float = 1.0,
    point: tuple[float, float] | None = None,
) -> Annotation:
    """The annotation of a mask [H, W] bool, not empty; without `point`, a pixel well inside the mask."""
    mask = np.asarray(mask, bool)
    height, width = mask.shape
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        raise DatasetError("an empty mask cannot be annotated")
    x, y = middle_of_longest_run(mask) if point is None else point
    x0, x1, y0, y1 = int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])
    return {
        "id": annotation_id,
        "segmentation": compress_rle(encode_rle(mask)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(mask.sum()),
        "predicted_iou": predicted_iou,
        "stability_score": stability_score,
        "point_coords": [[x, y]],
        "crop_box": [0, 0, width, height],
    }


def middle_of_longest_run(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(x, y) in the middle of the longest vertical run of pixels."""
    padded = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    padded[:, 1:-1] = mask.T
    steps = np.diff(padded)
    (columns, starts), (_, ends) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    longest = int((ends - starts).argmax())
    return int(columns[longest]), int((starts[longest] + ends[longest] - 1) // 2)


def write_record(
    folder: Path,
    image: NDArray[np.uint8],
    annotations: Sequence[Annotation],
    image_id: int,
    suffix: str = ".jpg",
) -> Path:
    """Write an image [H, W, 3] and its annotations as sa_<id>; returns the JSON file's path.

    Each file is written completely, the image first: every existing record has its image.
    """
    file_name = f"sa_{image_id}{suffix}"
    height, width = image.shape[:2]
    record: Record = {
        "image": {"image_id": image_id, "width": width, "height": height, "file_name": file_name},
        "annotations": list(annotations),
    }
    save_image(folder / file_name, image)
    path = folder / f"sa_{image_id}.json"
    write_json(path, record)
    return path


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read one JSON file.  Its masks stay encoded, and may still be damaged.

    Raises:
        DatasetError: there is no such file, it is not JSON, or not of this format.
    """
    record = read_json(path)
    if not (isinstance(record, dict) and isinstance(image := record.get("image"), dict)):
        raise DatasetError(f'{os.fspath(path)}: not an SA-1B record; it has no "image"')
    check_image_entry(image, os.fspath(path))
    annotations = record.get("annotations")
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise DatasetError(f'{os.fspath(path)}: "annotations" must be a list of objects')
    return record  # pyright: ignore[reportReturnType]


def check_image_entry(image: dict[str, Any], where: str) -> None:
    """Raise DatasetError if an image has no size, or no name inside its folder."""
    name, sides = image.get("file_name"), (image.get("height"), image.get("width"))
    if not isinstance(name, str) or not name:
        raise DatasetError(f"{where}: an image without a file_name")
    if not Path(name).parts or "\0" in name or not encodable(name):
        raise DatasetError(f"{where}: file_name {name!r} is not a valid file name")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(f"{where}: file_name {name!r} leads out of the folder")
    if not all(isinstance(side, int) and 0 < side <= MAX_PIXELS for side in sides):
        raise DatasetError(
            f"{where}: height and width must be whole numbers of pixels, not {sides[0]!r} and {sides[1]!r}"
        )


def encodable(name: str) -> bool:
    """Whether this can be a file name: JSON may hold surrogates, which cannot."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True

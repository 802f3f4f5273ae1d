"""A mask as a file: black and white, COCO's JSON, or the object cut out of the photo.  No file is ever replaced.

photo.jpg  ->  photo_mask.png, photo_coco.json, photo_cutout.png; then photo_mask_2.png …
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minisam.errors import PromptError
from minisam.files import write_atomically
from minisam.masks.rle import compress_rle, encode_rle
from minisam.web.photos import Photo


def save_result(kind: str, photo: Photo, mask: NDArray[np.bool_], iou: float) -> Path:
    """Write a mask [H, W] of a photo's full size into the photo's folder, under a name that is free.

    Raises PromptError for an unknown kind or an empty mask, OSError if the folder cannot be written to.
    """
    if kind not in KINDS:
        raise PromptError(f"a result is one of {', '.join(KINDS)}")
    if not mask.any():
        raise PromptError("this mask is empty; there is nothing to save")
    ending, encode = KINDS[kind]
    content = encode(photo, mask, iou)
    path = reserve(photo.folder, Path(photo.name).stem, ending)
    try:
        write_atomically(path, lambda file: file.write(content))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def reserve(folder: Path, stem: str, ending: str) -> Path:
    """The first free name, as an empty file: another tab cannot take it any more."""
    name, suffix = os.path.splitext(ending)
    for count in itertools.count(1):
        path = folder / f"{stem}_{name}{f'_{count}' if count > 1 else ''}{suffix}"
        try:
            path.open("xb").close()
            return path
        except FileExistsError:
            continue
    raise AssertionError


def as_png(photo: Photo, mask: NDArray[np.bool_], iou: float) -> bytes:
    """White inside, black outside, 8 bits."""
    return png(np.where(mask, np.uint8(255), np.uint8(0)))


def as_cutout(photo: Photo, mask: NDArray[np.bool_], iou: float) -> bytes:
    """The photo inside the mask's box, transparent outside the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    return png(np.dstack([photo.pixels() * mask[..., None], alpha])[box])


def as_coco(photo: Photo, mask: NDArray[np.bool_], iou: float) -> bytes:
    """A COCO file with one image and one annotation, its mask as compressed runs."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    content = {
        "images": [{"id": 1, "width": mask.shape[1], "height": mask.shape[0], "file_name": photo.name}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": compress_rle(encode_rle(mask)),
                "area": int(mask.sum()),
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "iscrowd": 0,
                "predicted_iou": iou,
            }
        ],
        "categories": [{"id": 1, "name": "object"}],
    }
    return json.dumps(content).encode()


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


Encode = Callable[[Photo, NDArray[np.bool_], float], bytes]
KINDS: dict[str, tuple[str, Encode]] = {
    "mask": ("mask.png", as_png),
    "coco": ("coco.json", as_coco),
    "cutout": ("cutout.png", as_cutout),
}

"""One record for every mask that the generator found, in segment-anything's format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minisam.masks.rle import compress_rle
from minisam.masks.runs import Borders, area, borders_to_columns, borders_to_rle
from minisam.predict.everything.candidates import Candidates


def records(candidates: Candidates, size: tuple[int, int], output_mode: str) -> list[dict[str, Any]]:
    """The records of all masks of an image of `size` (H, W); the keys are described at `generate`."""
    return [
        {
            "segmentation": encode(borders, size, output_mode),
            "area": area(borders),
            "bbox": to_xywh(candidates.boxes[index]),
            "predicted_iou": float(candidates.iou_predictions[index]),
            "point_coords": [candidates.points[index].tolist()],
            "stability_score": float(candidates.stability_scores[index]),
            "crop_box": to_xywh(candidates.crop_boxes[index]),
        }
        for index, borders in enumerate(candidates.borders)
    ]


def encode(borders: Borders, size: tuple[int, int], output_mode: str) -> Any:
    """A mask as an array [H, W] (binary_mask), or its run lengths as a list or as COCO's string."""
    if output_mode == "binary_mask":
        return borders_to_columns(borders, size).T
    rle = borders_to_rle(borders, size)
    return compress_rle(rle) if output_mode == "coco_rle" else rle


def to_xywh(corners: NDArray[np.int64]) -> list[int]:
    """(x0, y0, x1, y1) -> [x, y, width, height]."""
    x0, y0, x1, y1 = corners.tolist()
    return [x0, y0, x1 - x0, y1 - y0]

"""Removes holes and islands of all remaining masks, and the duplicates that this creates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minisam.masks.nms import box_nms
from minisam.masks.runs import box
from minisam.masks.small_regions import fill_small_holes, remove_small_islands
from minisam.predict.everything.candidates import Candidates


def clean_masks(
    candidates: Candidates, size: tuple[int, int], min_area: float, iou_threshold: float, keep_largest: bool
) -> Candidates:
    """Fill holes, then remove islands, in all masks; of new duplicates one is kept, preferably an unchanged one.

    With `keep_largest` False a mask without any large island is dropped.
    """
    cleaned = []
    for borders in candidates.borders:
        filled = fill_small_holes(borders, size, min_area)
        cleaned.append(remove_small_islands(filled, size, min_area, keep_largest))
    untouched = [new is old for new, old in zip(cleaned, candidates.borders, strict=True)]
    boxes = np.array([box(mask, size[0]) for mask in cleaned], np.int64).reshape(-1, 4)
    kept = box_nms(boxes, np.array(untouched, np.float32), iou_threshold)
    if not keep_largest:
        kept = np.array([index for index in kept if len(cleaned[index])], np.int64)
    boxes = np.where(np.array(untouched, bool)[:, None], candidates.boxes, boxes)
    return replace(candidates, borders=cleaned, boxes=boxes).take(kept)

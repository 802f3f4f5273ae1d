"""Cleaning masks: islands and holes below a size go (SAM section B, "Postprocessing").

    holes    the components of what is not the mask; small ones are filled
    islands  the components of the mask; small ones are removed

segment-anything keeps the largest island when all are small; the paper drops the whole mask.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minisam.data.runs import Borders, box, complement, merge_adjacent
from minisam.predict.candidates import Candidates
from minisam.predict.connected_components import Components, connected_components
from minisam.predict.nms import box_nms


def clean_masks(
    candidates: Candidates, size: tuple[int, int], min_area: float, iou_threshold: float, keep_largest: bool
) -> Candidates:
    """Fill holes, then remove islands, in all masks; of duplicates that arise one stays, rather an untouched one.

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


def fill_small_holes(borders: Borders, size: tuple[int, int], min_area: float) -> Borders:
    """Set every 8-connected region of unset pixels smaller than `min_area`, in an image of `size` (H, W).

    One at the border of the image counts as a hole too, as in segment-anything.  The argument itself comes
    back where nothing is small.
    """
    pixels = size[0] * size[1]
    outside = complement(borders, pixels)
    large = remove_small_islands(outside, size, min_area, keep_largest=False)
    return borders if large is outside else complement(large, pixels)


def remove_small_islands(
    borders: Borders, size: tuple[int, int], min_area: float, keep_largest: bool = True
) -> Borders:
    """Unset every 8-connected region smaller than `min_area`; if all are, keep the largest or none.

    Of several that are largest the first in reading order stays.  The argument itself comes back where nothing
    is small.
    """
    components = connected_components(borders, size[0])
    large = components.size >= min_area
    if large.all():
        return borders
    if keep_largest and not large.any():
        large[largest_component(components, size)] = True
    kept = large[components.label]
    return merge_adjacent(np.stack([components.start[kept], components.end[kept]], axis=1).ravel())


def largest_component(components: Components, size: tuple[int, int]) -> int:
    """The label of the component with the most pixels, the first in reading order of several."""
    candidate = (components.size == components.size.max())[components.label]
    column, row = np.divmod(components.start[candidate], size[0])
    return int(components.label[candidate][np.lexsort((column, row))[0]])

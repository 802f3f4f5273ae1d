"""Small holes and islands of a mask: segment-anything's function, based on minisam/masks/small_regions.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minisam.masks.runs import borders_to_columns, mask_to_borders
from minisam.masks.small_regions import fill_small_holes, remove_small_islands


def remove_small_regions(
    mask: NDArray[np.bool_], area_thresh: float, mode: str
) -> tuple[NDArray[np.bool_], bool]:
    """A mask [H, W] without its 8-connected "holes" or "islands" of fewer pixels, and whether there were any.

    If all islands are small, the largest one is kept.  Raises ValueError for another mode.
    """
    if mode not in ("holes", "islands"):
        raise ValueError(f"mode must be holes or islands, got {mode!r}")
    size = (mask.shape[0], mask.shape[1])
    borders = mask_to_borders(mask.astype(bool).T)
    change = fill_small_holes if mode == "holes" else remove_small_islands
    changed = change(borders, size, area_thresh)
    return (mask, False) if changed is borders else (borders_to_columns(changed, size).T, True)

"""Polygons to masks by COCO's rule, with identical results (cocoapi, maskApi.c, rleFrPoly).

    1. corners go to the nearest point of a grid five times finer than the pixels: int(5 x + 0.5)
    2. the outline walks over that grid, one step at a time along the longer axis of each edge
    3. where it steps across the middle of a pixel column, u = 5 x + 2 | 5 x + 3, a border is set in column x:
       inside and outside swap for all pixels of the column whose middle lies below it

A pixel is inside if it lies below an odd number of borders: the even-odd rule on column middles.  This rounding
defines COCO's masks and scores; any other one would move some borders by a pixel.

n corners   u, v column and row on the fine grid   x, y of a pixel
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minisam.errors import DatasetError

FINE = 5
MAX_OUTLINE = 1 << 24
"""The most steps of an outline on the fine grid; longer ones are treated as damaged."""


def polygons_to_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of polygons [x0, y0, x1, y1, …] in pixels -> mask [H, W] bool.

    Raises:
        DatasetError: no polygon, one with fewer than three corners, half a corner, or with something other
            than numbers.
    """
    if not polygons:
        raise DatasetError("a segmentation without a polygon")
    mask = np.zeros(size, bool)
    for polygon in polygons:
        mask |= polygon_to_mask(as_corners(polygon), size)
    return mask


def as_corners(polygon: Sequence[float]) -> NDArray[np.float64]:
    """[x0, y0, x1, y1, …] -> [n, 2] as (x, y)."""
    try:
        flat = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError("a polygon must be a flat list of numbers x0, y0, x1, y1, …") from None
    if flat.ndim != 1 or flat.size < 6 or flat.size % 2:
        raise DatasetError(f"a polygon needs an x and a y for three corners or more, not {flat.size} numbers")
    if not (np.abs(flat) < MAX_OUTLINE).all():
        raise DatasetError("a polygon has corners that are not finite, or far outside of any image")
    return flat.reshape(-1, 2)


def polygon_to_mask(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Corners [n, 2] as (x, y) -> mask [H, W] bool."""
    height, width = size
    u, v = outline((FINE * corners + 0.5).astype(np.int64))
    crossing = np.flatnonzero(u[1:] != u[:-1])
    left = np.minimum(u[crossing], u[crossing + 1])
    x, phase = np.divmod(left, FINE)
    top = np.minimum(v[crossing], v[crossing + 1])
    y = np.ceil(((top + 0.5) / FINE - 0.5).clip(0, height)).astype(np.int64)
    at_middle = (phase == FINE // 2) & (x >= 0) & (x < width)
    borders = np.zeros((height + 1, width), np.int64)
    np.add.at(borders, (y[at_middle], x[at_middle]), 1)
    return borders.cumsum(axis=0)[:height] % 2 == 1


def outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners [n, 2] on the fine grid -> u and v of every step of the closed outline.

    An edge is always walked from its smaller to its larger end on the longer axis. Two polygons with a common edge
    therefore round it in the same way.
    """
    start, end = corners, np.roll(corners, -1, axis=0)
    reach = np.abs(end - start)
    along = (reach[:, 0] < reach[:, 1]).astype(np.int64)
    edge = np.arange(len(corners))
    backwards = start[edge, along] > end[edge, along]
    steps = reach.max(axis=1)
    if steps.sum() > MAX_OUTLINE:
        raise DatasetError("a polygon with an outline far longer than any image's")
    first = np.where(backwards[:, None], end, start)
    last = np.where(backwards[:, None], start, end)
    rise = (last - first)[edge, 1 - along] / np.maximum(steps, 1)

    walked = np.repeat(edge, steps + 1)
    step = np.arange(len(walked)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    step = np.where(backwards[walked], steps[walked] - step, step)
    on_long = first[edge, along][walked] + step
    on_short = (first[edge, 1 - along][walked] + rise[walked] * step + 0.5).astype(np.int64)
    sideways = along[walked] == 0
    return np.where(sideways, on_long, on_short), np.where(sideways, on_short, on_long)

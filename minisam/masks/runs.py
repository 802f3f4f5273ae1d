"""Masks as the borders of their runs: a run-length encoding in a form for computation.

The pixels of an image [H, W] are numbered down its columns, as in COCO; a mask is the increasing sequence

    borders = [start_0, end_0, start_1, end_1, …]        start_i <= pixel < end_i < start_{i+1}

A few hundred numbers represent a million pixels. Thousands of masks fit in memory, and areas, boxes, complements and
connected regions are computed from the borders alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Borders = NDArray[np.int64]


def mask_to_borders(
    columns: NDArray[np.bool_], corner: tuple[int, int] = (0, 0), height: int | None = None
) -> Borders:
    """A transposed mask [W, H], whose rows are the image's columns -> borders.

    With `corner` (x, y) the mask is a part of an image of `height` rows that starts there; all else is unset.
    """
    x, y = corner
    width, own_height = columns.shape
    padded = np.zeros((width, own_height + 1), bool)
    padded[:, 1:] = columns
    flat = padded.ravel()
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), own_height + 1)
    if len(row) % 2:  # the last run reaches the end
        column, row = np.append(column, width - 1), np.append(row, own_height)
    return merge_adjacent((column + x) * (height or own_height) + row + y)


def merge_adjacent(borders: Borders) -> Borders:
    """Join runs if one ends where the next starts: both borders are removed."""
    same = np.flatnonzero(borders[1:] == borders[:-1])
    return np.delete(borders, np.concatenate([same, same + 1])) if len(same) else borders


def borders_to_columns(borders: Borders, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Borders in an image of `size` (H, W) -> transposed mask [W, H]."""
    height, width = size
    runs = np.diff(borders, prepend=0, append=height * width)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height)


def borders_to_rle(borders: Borders, size: tuple[int, int]) -> dict[str, Any]:
    """Borders in an image of `size` (H, W) -> {"size": [H, W], "counts": list of int}, as `encode_rle` gives it."""
    height, width = size
    counts = np.diff(borders, prepend=0, append=height * width).tolist()
    return {"size": [height, width], "counts": counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts}


def complement(borders: Borders, pixels: int) -> Borders:
    """The runs of the complement, in an image with that many pixels."""
    whole = np.array([0, pixels], borders.dtype)
    return merge_adjacent(np.concatenate([whole[:1], borders, whole[1:]]))


def area(borders: Borders) -> int:
    """How many pixels are set."""
    return int((borders[1::2] - borders[::2]).sum())


def box(borders: Borders, height: int) -> tuple[int, int, int, int]:
    """The first and last column and row with a pixel, as (x0, y0, x1, y1); (0, 0, 0, 0) for an empty mask."""
    if not len(borders):
        return 0, 0, 0, 0
    first, last = borders[::2], borders[1::2] - 1
    x0, x1 = int(first[0] // height), int(last[-1] // height)
    if (first // height != last // height).any():  # a run continues in the next column
        return x0, 0, x1, height - 1
    return x0, int((first % height).min()), x1, int((last % height).max())

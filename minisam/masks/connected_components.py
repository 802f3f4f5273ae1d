"""Connected components of a mask, computed from its runs, without going over pixels.

    two runs in neighbouring columns touch  <=>  start_a <= end_b and start_b <= end_a     (8-connected)

Touching runs are the edges of a graph.  Its components are found by union-find on whole arrays: every edge attaches
the larger of its two roots to the smaller, and every node is moved to its root, until no edge joins two roots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minisam.masks.runs import Borders


class Components(NamedTuple):
    """The runs of a mask, cut at the ends of columns, and the component of each.

    start, end [n]: pixels, numbered down the columns; label [n]: 0 … C − 1, by the first run of a component;
    size [C]: pixels.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    label: NDArray[np.int64]
    size: NDArray[np.int64]


def connected_components(borders: Borders, height: int, connectivity: int = 8) -> Components:
    """The components of a mask in an image of `height` rows; diagonal neighbours touch if `connectivity` is 8.

    Raises ValueError for a connectivity other than 4 and 8.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, got {connectivity}")
    start, end = split_at_columns(borders, height)
    root = union_find(len(start), *touching_runs(start, end, height, connectivity == 8))
    _, label = np.unique(root, return_inverse=True)
    size = np.zeros(label.max(initial=-1) + 1, np.int64)
    np.add.at(size, label, end - start)
    return Components(start, end, label, size)


def split_at_columns(borders: Borders, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of runs, split at column ends."""
    start, end = borders[::2], borders[1::2]
    first, last = start // height, (end - 1) // height
    pieces = last - first + 1
    run = np.repeat(np.arange(len(start)), pieces)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.maximum(start[run], column * height), np.minimum(end[run], (column + 1) * height)


def touching_runs(
    start: NDArray[np.int64], end: NDArray[np.int64], height: int, diagonally: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of runs in neighbouring columns that touch, as two arrays of indices."""
    column = start // height
    # One more row per column keeps the end of a column apart from the start of the next.
    start, end = start + column, end + column
    reach = 0 if diagonally else 1
    first = np.searchsorted(end, start + height + 1 + reach, side="left")
    beyond = np.searchsorted(start, end + height + 1 - reach, side="right")
    count = beyond - first
    run = np.repeat(np.arange(len(start)), count)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(count) - count - first, count)


def union_find(nodes: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest node of each node's component in the graph of edges (a, b)."""
    root = np.arange(nodes)
    while True:
        root_a, root_b = root[a], root[b]
        joins = root_a != root_b
        if not joins.any():
            return root
        a, b = root_a[joins], root_b[joins]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(root, further := root[root]):
            root = further

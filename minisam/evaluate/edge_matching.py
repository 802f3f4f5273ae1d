"""Which predicted edge pixels are correct: matched one-to-one with true ones within a tolerance.

    most pairs (predicted, true) such that no pixel is in two of them     (maximum bipartite matching)

Because of the one-to-one rule, an edge drawn twice is wrong the second time.  Pixels are added in the order of
falling strength, and each searches for an augmenting path: a free true pixel nearby, or one whose partner can move to
another (Berge 1957).  A matched pixel stays matched. After the n-th pixel, the pairs are thus the most that the n
strongest pixels allow, and one pass serves all thresholds.  A failed search has found a closed region without a free
pixel, which later searches need not enter.

The Berkeley benchmark minimises the sum of distances over nearly the same pairs; the scores depend only on their
number.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.0075
"""Fraction of the image's diagonal, as for BSDS500."""


def match_edges(
    strength: NDArray[np.floating], truth: NDArray[np.bool_], tolerance: float | None = None
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Edge strengths [H, W], an edge where > 0, and true edges [H, W].

    Returns the strengths of all predicted pixels, falling, [P], and whether each is matched, [P]: the first n
    matches are those of the n strongest pixels alone.  `tolerance` in pixels.
    """
    height, width = truth.shape
    if tolerance is None:
        tolerance = TOLERANCE * float(np.hypot(height, width))
    rows, columns = np.nonzero(strength > 0)
    order = np.argsort(-strength[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    neighbours = nearby_pixels(rows, columns, truth, tolerance)
    return strength[rows, columns], match_in_order(neighbours, int(truth.sum()))


def nearby_pixels(
    rows: NDArray[np.int64], columns: NDArray[np.int64], truth: NDArray[np.bool_], tolerance: float
) -> list[list[int]]:
    """For each predicted pixel the numbers, in reading order, of true ones within the tolerance, nearest first."""
    reach = int(tolerance)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    distance = dy**2 + dx**2
    near = np.argsort(distance, kind="stable")
    near = near[distance[near] <= tolerance**2]
    number = np.full(truth.shape, -1, np.int64)
    number[truth] = np.arange(truth.sum())
    number = np.pad(number, reach, constant_values=-1)
    around = number[rows[:, None] + dy[near] + reach, columns[:, None] + dx[near] + reach]
    return [line[line >= 0].tolist() for line in around]


def match_in_order(neighbours: list[list[int]], targets: int) -> NDArray[np.bool_]:
    """Add the left vertices of a bipartite graph one by one; whether each could be matched, [P]."""
    owner, partner = [-1] * targets, [-1] * len(neighbours)
    closed = [False] * targets
    for start in range(len(neighbours)):
        came_from: dict[int, int] = {}
        free = search(start, neighbours, owner, closed, came_from)
        if free is None:
            for target in came_from:
                closed[target] = True
            continue
        target = free
        while True:
            left = came_from[target]
            given_up = partner[left]
            owner[target], partner[left] = left, target
            if left == start:
                break
            target = given_up
    return np.array(partner, np.int64) >= 0


def search(
    start: int, neighbours: list[list[int]], owner: list[int], closed: list[bool], came_from: dict[int, int]
) -> int | None:
    """The nearest free target over paths that alternate between unmatched and matched pairs, or None.

    `came_from` gives, for each target that was reached, the left vertex that reached it.
    """
    waiting = deque([start])
    while waiting:
        left = waiting.popleft()
        for target in neighbours[left]:
            if target in came_from or closed[target]:
                continue
            came_from[target] = left
            if owner[target] < 0:
                return target
            waiting.append(owner[target])
    return None

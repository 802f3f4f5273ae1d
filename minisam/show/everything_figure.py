"""A figure of all masks of an image, each in a different colour, small ones over large ones, with white outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray

from minisam.predict.everything.partition import to_partition

OPACITY = 0.55
ROWS_AT_ONCE = 256
"""Rows that are mixed together: fractions of a whole photo of 49 megapixels would take 4 GB."""
GOLDEN_RATIO = (5**0.5 - 1) / 2


def everything_figure(image: NDArray[np.uint8], records: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """The image [H, W, 3], and beside it (for a wide image, below it) the same image with its masks."""
    labels = to_partition(records, image.shape[:2])
    painted = paint_labels(image, labels)
    height, width = image.shape[:2]
    gap = max(2, min(height, width) // 50)
    if width > 1.5 * height:
        return np.concatenate([image, np.full((gap, width, 3), 255, np.uint8), painted])
    return np.concatenate([image, np.full((height, gap, 3), 255, np.uint8), painted], axis=1)


def paint_labels(image: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The image under translucent colours where labels [H, W] are not 0, white where two labels meet."""
    colours = label_colours(int(labels.max(initial=0)) + 1)
    painted = image.copy()
    for start in range(0, len(image), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        mixed = (1 - OPACITY) * image[rows] + OPACITY * colours[labels[rows]]
        painted[rows] = np.where((labels[rows] > 0)[..., None], mixed, image[rows]).round()
    painted[outlines(labels)] = 255
    return painted


def label_colours(count: int) -> NDArray[np.float64]:
    """Colours [count, 3] in 0 … 255, with hues a golden section apart: neighbours in the list differ clearly."""
    hues = np.arange(count) * GOLDEN_RATIO % 1
    values = 0.85 + 0.15 * (np.arange(count) % 2)
    return 255 * hsv_to_rgb(np.stack([hues, np.full(count, 0.75), values], axis=1))


def outlines(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a mask whose right or lower neighbour has another label, about a thousandth of the image thick."""
    edge = np.zeros(labels.shape, bool)
    for step in range(1, 1 + max(1, round(min(labels.shape) / 700))):
        edge[:-step] |= labels[:-step] != labels[step:]
        edge[:, :-step] |= labels[:, :-step] != labels[:, step:]
    return edge

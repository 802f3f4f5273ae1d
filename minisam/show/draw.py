"""Drawing images, masks and prompts on matplotlib axes, in the style of segment-anything's notebooks."""

from __future__ import annotations

import unicodedata

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from minisam.errors import printable

BLUE = (30 / 255, 144 / 255, 1.0)
MASK_OPACITY = 0.6
TITLE_CHARACTER = 0.085
"""Inches that a character of a title takes; Chinese and other wide ones take two."""


def show_image(axes: Axes, image: NDArray[np.uint8], title: str = "") -> None:
    """An image [H, W, 3] without ticks."""
    axes.imshow(image)
    axes.set_title(printable(title), fontsize=10, parse_math=False)
    axes.set_axis_off()


def shortened(text: str, inches: float) -> str:
    """A name for a title of that width: one that is too long loses its middle."""
    text, room = printable(text), int(inches / TITLE_CHARACTER)
    if width_of(text) <= room:
        return text
    while len(text) > 2 and width_of(text) >= room:
        text = text[: len(text) // 2] + text[len(text) // 2 + 1 :]
    return f"{text[: len(text) // 2]}…{text[len(text) // 2 :]}"


def width_of(text: str) -> int:
    """How many narrow characters take as much room."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def show_mask(axes: Axes, mask: NDArray[np.bool_], color: tuple[float, float, float] = BLUE) -> None:
    """A mask [H, W] as a translucent layer with a white outline; a single row or column has no outline."""
    mask = np.asarray(mask, bool)
    overlay = np.zeros((*mask.shape, 4), np.uint8)
    overlay[mask] = np.round(255 * np.array([*color, MASK_OPACITY]))
    axes.imshow(overlay)
    if min(mask.shape) > 1 and mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors="white", linewidths=0.8)


def show_points(axes: Axes, coords: NDArray, labels: NDArray, size: float = 180) -> None:
    """Points [N, 2] as stars: green for label 1, red for label 0."""
    coords, labels = np.asarray(coords), np.asarray(labels)
    for label, color in ((1, "green"), (0, "red")):
        chosen = coords[labels == label]
        axes.scatter(*chosen.T, s=size, c=color, marker="*", edgecolors="white", linewidths=1.0)


def show_box(axes: Axes, box: NDArray) -> None:
    """A box (x0, y0, x1, y1) in green."""
    x0, y0, x1, y1 = box
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, edgecolor="green", facecolor="none", linewidth=2))

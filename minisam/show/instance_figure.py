"""A figure of labelled objects: their masks in translucent colours, their boxes, and class and score at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from minisam.show.draw import shortened, show_image, show_mask
from minisam.show.everything_figure import label_colours
from minisam.show.figure_file import plain
from minisam.show.small_copy import factor_of, small_image, small_mask

INCHES = 7.0
ABOVE = 0.2  # inches that words above a box take


class ShownInstance(NamedTuple):
    """An object: its class and the number of that class, a score, box (x0, y0, x1, y1) and mask [H, W]."""

    name: str
    label: int
    score: float
    box: Sequence[float]
    mask: NDArray[np.bool_]


def instance_figure(image: NDArray[np.uint8], objects: Sequence[ShownInstance], title: str) -> Figure:
    """The image [H, W, 3] with its objects; objects of a class have its colour.

    Words stand above a box, or in it at the image's top, and end with it in the right half: nothing is cut off.
    """
    factor, image = factor_of(image.shape), small_image(image)
    height, width = image.shape[:2]
    scale = INCHES / max(height, width)
    inches = max(width * scale, 2.0)
    figure = Figure(figsize=(inches, max(height * scale, 1.5) + 0.4), layout="constrained")
    axes = figure.subplots()
    show_image(axes, image, shortened(title, inches))
    colours = label_colours(max((one.label for one in objects), default=0) + 1) / 255
    for one in sorted(objects, key=lambda one: -one.mask.sum()):
        red, green, blue = colours[one.label]
        show_mask(axes, small_mask(one.mask), (red, green, blue))
        x0, y0, x1, y1 = (factor * value for value in one.box)
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, edgecolor=(red, green, blue), facecolor="none"))
        words = f"{plain(one.name)} {one.score:.2f}"
        in_left_half = x0 + x1 <= width
        axes.text(
            x0 if in_left_half else x1,
            y0,
            words,
            fontsize=7,
            color="white",
            ha="left" if in_left_half else "right",
            va="bottom" if y0 * scale > ABOVE else "top",
            clip_on=True,
            backgroundcolor=(red, green, blue, 0.7),
        )
    return figure

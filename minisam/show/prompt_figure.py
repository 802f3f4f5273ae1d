"""Figures of prompts: the best mask with the prompt in a large panel, and the other masks in small ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from minisam.show.draw import TITLE_CHARACTER, shortened, show_box, show_image, show_mask, show_points
from minisam.show.small_copy import factor_of, small_image, small_mask


@dataclass(frozen=True)
class PromptResult:
    """A prompt on an image, and the network's masks for it.

    image [H, W, 3]; masks [C, H, W] (bool) with iou_predictions [C]; points [N, 2] with labels [N], boxes [n, 4] and
    mask [H, W], if given.
    """

    title: str
    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    iou_predictions: NDArray[np.floating]
    points: NDArray | None = None
    labels: NDArray | None = None
    boxes: NDArray | None = None
    mask: NDArray[np.bool_] | None = None


def reduced(result: PromptResult) -> PromptResult:
    """The same result at the size that a figure can show."""
    factor = factor_of(result.image.shape)
    return replace(
        result,
        image=small_image(result.image),
        masks=np.stack([small_mask(mask) for mask in result.masks]),
        points=None if result.points is None else np.asarray(result.points) * factor,
        boxes=None if result.boxes is None else np.asarray(result.boxes) * factor,
        mask=None if result.mask is None else small_mask(result.mask),
    )


SMALL = 0.4  # width of an alternative's panel, as a share of the large panel's
NARROWEST = 2.5  # inches of a large panel, for its title
FLATTEST, TALLEST = 0.2, 2.0  # height of one panel among many, as a share of its width


def prompt_figure(result: PromptResult, size: float = 6.0) -> Figure:
    """The mask with the highest predicted IoU, as large as `size` inches; beside it the other masks, best first."""
    result = reduced(result)
    others = np.argsort(-result.iou_predictions, kind="stable")[1:]
    height, width = result.image.shape[:2]
    scale = size / max(height, width)
    large = (max(width * scale, NARROWEST), max(height * scale, 1) + 0.3)
    share = SMALL if len(others) else 0.0
    figure = Figure(figsize=(large[0] * (1 + share), large[1]), layout="constrained")
    if not len(others):
        show_best(figure.subplots(), result, large[0])
        return figure
    grid = figure.add_gridspec(len(others), 2, width_ratios=(1, share))
    show_best(figure.add_subplot(grid[:, 0]), result, large[0])
    for row, mask in enumerate(others):
        axes = figure.add_subplot(grid[row, 1])
        show_image(axes, result.image, f"or: {result.iou_predictions[mask]:.2f}")
        show_mask(axes, result.masks[mask])
    return figure


def best_masks_figure(results: list[PromptResult], columns: int, size: float = 4.2) -> Figure:
    """The best mask of every prompt, row by row in `columns` columns; panels are `size` inches wide.

    A panel is at most twice as high as wide, because a strip of 2 x 3000 pixels would take all memory.
    """
    results = [reduced(result) for result in results]
    rows = -(-len(results) // columns)
    tallest = [
        max(
            min(max(height / width, FLATTEST), TALLEST)
            for height, width, _ in (result.image.shape for result in results[row : row + columns])
        )
        for row in range(0, len(results), columns)
    ]
    figure = Figure(
        figsize=(size * columns, sum(size * ratio + 0.3 for ratio in tallest)), layout="constrained"
    )
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=tallest)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, result in zip(grid.flat, results, strict=False):
        show_best(axes, result, size)
    return figure


def show_best(axes: Axes, result: PromptResult, inches: float) -> None:
    """The image with the mask of the highest predicted IoU, and the prompt, in a panel of that width."""
    best = int(result.iou_predictions.argmax())
    title = f"predicted IoU {result.iou_predictions[best]:.2f}"
    if result.title:
        room = inches - TITLE_CHARACTER * len(f": {title}")
        title = f"{shortened(result.title, room)}: {title}"
    show_image(axes, result.image, title)
    show_mask(axes, result.masks[best])
    show_prompt(axes, result)


def show_prompt(axes: Axes, result: PromptResult) -> None:
    """The prompt of a result, on axes that show its image."""
    if result.mask is not None:
        show_mask(axes, result.mask, color=(1.0, 0.6, 0.0))
    for box in result.boxes if result.boxes is not None else ():
        show_box(axes, box)
    if result.points is not None and result.labels is not None:
        show_points(axes, result.points, result.labels)

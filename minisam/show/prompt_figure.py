"""One figure for one or more prompts: the image with the prompt, then every mask with its predicted IoU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from minisam.show.draw import show_box, show_image, show_mask, show_points


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


def prompt_figure(results: list[PromptResult], columns: int = 1) -> Figure:
    """One row per prompt, in `columns` columns of prompts; masks are sorted, best first."""
    tiles = 1 + max(len(result.masks) for result in results)
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(2.4 * tiles * columns, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, tiles * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, result in enumerate(results):
        row, start = index // columns, tiles * (index % columns)
        show_image(grid[row, start], result.image, result.title)
        show_prompt(grid[row, start], result)
        ranked = np.argsort(-result.iou_predictions, kind="stable")
        for rank, mask in enumerate(ranked, start=1):
            axes = grid[row, start + rank]
            show_image(axes, result.image, f"predicted IoU {result.iou_predictions[mask]:.2f}")
            show_mask(axes, result.masks[mask])
    return figure


def show_prompt(axes, result: PromptResult) -> None:
    """The prompt of a result, on axes that show its image."""
    if result.mask is not None:
        show_mask(axes, result.mask, color=(1.0, 0.6, 0.0))
    for box in result.boxes if result.boxes is not None else ():
        show_box(axes, box)
    if result.points is not None and result.labels is not None:
        show_points(axes, result.points, result.labels)

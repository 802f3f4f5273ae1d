"""Checks of a caller's prompt before it reaches the network: one clear error each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minisam.errors import PromptError
from minisam.model.batched_prompts import BOOLEAN_LOGIT
from minisam.predict.given_numbers import to_array

OVERHANG = 0.01  # of the longest side; less than one pixel always counts as on the edge


def check_points(
    coords: object, labels: object, size: tuple[int, int], fewest: int = 1
) -> tuple[NDArray, NDArray]:
    """Points as float32 [N, 2] and labels as int32 [N], on an image of `size` (H, W); N is at least `fewest`.

    Raises PromptError for a wrong shape or type, values that are not finite, points outside the image, and
    labels other than 1, 0 and −1.  Points a little outside are moved onto the edge.
    """
    if coords is None or labels is None:
        raise PromptError(
            "points need labels and labels need points: give both point_coords and point_labels"
        )
    points = as_float32(coords, "point_coords")
    label_values = as_float32(labels, "point_labels")
    if not fewest and points.size == label_values.size == 0:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise PromptError(f"point_coords must have the shape (N, 2) with N >= 1, got {points.shape}")
    if label_values.shape != points.shape[:1]:
        raise PromptError(
            f"point_labels must have the shape ({len(points)},), one label per point, got {label_values.shape}"
        )
    if not np.isin(label_values, (-1, 0, 1)).all():
        raise PromptError("point_labels must be 1 (foreground), 0 (background) or -1 (padding)")
    clicked = label_values >= 0
    points = np.where(clicked[:, None], moved_inside(points, clicked, size, "point"), points)
    return points, label_values.astype(np.int32)


def check_boxes(box: object, size: tuple[int, int]) -> NDArray:
    """A box [4] or boxes [N, 4] as float32, (x0, y0, x1, y1) on an image of `size` (H, W).

    Corners a little outside are moved onto the edge, because detectors return such boxes.  A box with swapped corners
    or without an area is refused: SAM was not trained on such boxes, and its masks would not show that (x, y, width,
    height) was passed.

    Raises PromptError for a wrong shape or type, values that are not finite, corners outside the image, and
    boxes without an area.
    """
    boxes = as_float32(box, "box")
    if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4 or boxes.size == 0:
        raise PromptError(f"box must have the shape (4,) or (N, 4) as (x0, y0, x1, y1), got {boxes.shape}")
    corners = boxes.reshape(-1, 2)
    corners = moved_inside(corners, np.ones(len(corners), bool), size, "box corner")
    boxes = corners.reshape(boxes.shape)
    if not (boxes[..., :2] < boxes[..., 2:]).all():
        raise PromptError("a box must have an area: x0 < x1 and y0 < y1, as (x0, y0, x1, y1)")
    return boxes


def is_no_box(box: object) -> bool:
    """Whether these are several boxes or none, but not one."""
    return as_float32(box, "box").size == 0


def check_mask(mask: object, size: tuple[int, int]) -> NDArray:
    """A mask prompt as float32 logits [1, h, w], `size` being the network's (h, w).

    A boolean mask becomes logits of −10 and 10.  Raises PromptError for another shape or values not finite.
    """
    logits = as_float32(mask, "mask_input")
    is_boolean = to_array(mask, "mask_input").dtype == bool
    if logits.ndim == 2:
        logits = logits[None]
    if logits.shape != (1, *size):
        raise PromptError(f"mask_input must have the shape (1, {size[0]}, {size[1]}), got {logits.shape}")
    return (2 * logits - 1) * BOOLEAN_LOGIT if is_boolean else logits


def as_float32(values: object, name: str) -> NDArray:
    """Any array or tensor of numbers as float32, in new memory.

    Raises PromptError if that is impossible or a value is not finite.
    """
    with np.errstate(over="ignore"):
        array = to_array(values, name).astype(np.float32)
    if not np.isfinite(array).all():
        raise PromptError(f"{name} has values that are not finite (NaN, infinity, or beyond float32)")
    return array


def moved_inside(points: NDArray, chosen: NDArray, size: tuple[int, int], name: str) -> NDArray:
    """Points [N, 2] with those outside an image of `size` (H, W) on its edge; its far edges count as inside.

    Raises PromptError if one of the `chosen` [N] lies at least a pixel and more than `OVERHANG` outside.
    """
    height, width = size
    inside = points.clip(0, np.array([width, height], np.float32))
    distance = np.abs(points - inside).max(axis=1)
    outside = chosen & (distance >= 1) & (distance > OVERHANG * max(size))
    if outside.any():
        x, y = points[outside.argmax()]
        raise PromptError(
            f"{name} ({x:g}, {y:g}) is outside the image of {width} x {height} pixels (width x height)"
        )
    return inside

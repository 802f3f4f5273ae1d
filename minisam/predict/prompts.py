"""Checks of what a caller gives as a prompt, before it reaches the network: one clear error each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minisam.errors import PromptError


def check_points(coords: object, labels: object, size: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """Points as float32 [N, 2] and labels as int32 [N], on an image of `size` (H, W).

    Raises PromptError for a wrong shape or type, values that are not finite, points outside the image, and
    labels other than 1, 0 and −1.
    """
    if coords is None or labels is None:
        raise PromptError(
            "points need labels and labels need points: give both point_coords and point_labels"
        )
    points = as_float32(coords, "point_coords")
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise PromptError(f"point_coords must have the shape (N, 2) with N >= 1, got {points.shape}")
    label_values = as_float32(labels, "point_labels")
    if label_values.shape != points.shape[:1]:
        raise PromptError(
            f"point_labels must have the shape ({len(points)},), one label a point, got {label_values.shape}"
        )
    if not np.isin(label_values, (-1, 0, 1)).all():
        raise PromptError("point_labels must be 1 (foreground), 0 (background) or -1 (padding)")
    check_inside(points[label_values >= 0], size, "point")
    return points, label_values.astype(np.int32)


def check_boxes(box: object, size: tuple[int, int]) -> NDArray:
    """A box [4] or boxes [N, 4] as float32, (x0, y0, x1, y1) on an image of `size` (H, W).

    Raises PromptError for a wrong shape or type, values that are not finite, corners outside the image, and
    boxes without an area.
    """
    boxes = as_float32(box, "box")
    if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4 or boxes.size == 0:
        raise PromptError(f"box must have the shape (4,) or (N, 4) as (x0, y0, x1, y1), got {boxes.shape}")
    check_inside(boxes.reshape(-1, 2), size, "box corner")
    if not (boxes[..., :2] < boxes[..., 2:]).all():
        raise PromptError("a box must have an area: x0 < x1 and y0 < y1")
    return boxes


def check_mask(mask: object, size: tuple[int, int]) -> NDArray:
    """A mask prompt as float32 logits [1, h, w], `size` being the network's (h, w).

    A boolean mask becomes logits of −10 and 10.  Raises PromptError for another shape or values not finite.
    """
    is_boolean = np.asarray(mask).dtype == bool
    logits = as_float32(mask, "mask_input")
    if logits.ndim == 2:
        logits = logits[None]
    if logits.shape != (1, *size):
        raise PromptError(f"mask_input must have the shape (1, {size[0]}, {size[1]}), got {logits.shape}")
    return logits * 20 - 10 if is_boolean else logits


def as_float32(values: object, name: str) -> NDArray:
    """Any array of numbers as float32.  Raises PromptError where that is impossible or a value is not finite."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise PromptError(f"{name} must be an array of numbers") from None
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise PromptError(f"{name} has values that are not finite (NaN, infinity, or beyond float32)")
    return array


def check_inside(points: NDArray, size: tuple[int, int], name: str) -> None:
    """Raise PromptError where a point [N, 2] lies outside an image of `size` (H, W); its far edges count as inside."""
    height, width = size
    outside = (points < 0).any(axis=1) | (points[:, 0] > width) | (points[:, 1] > height)
    if outside.any():
        x, y = points[outside.argmax()]
        raise PromptError(
            f"{name} ({x:g}, {y:g}) is outside the image of {width} x {height} pixels (width x height)"
        )

"""Checks of the automatic mask generator's arguments before any work: one clear error each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minisam.errors import GeneratorError
from minisam.predict.everything.point_grids import build_all_layer_point_grids

DEFAULT_POINTS_PER_SIDE = 32
MOST_POINTS_PER_SIDE = 1024  # a million clicks; SAM's paper uses 32
MOST_CROP_LAYERS = 6  # 4⁶ crops in the last
RANGES = {
    "points_per_side": (1, MOST_POINTS_PER_SIDE),
    "points_per_batch": (1, math.inf),
    "crop_n_layers": (0, MOST_CROP_LAYERS),
    "crop_n_points_downscale_factor": (1, math.inf),
    "min_mask_region_area": (0, math.inf),
}
OPTIONAL = ("points_per_side", "max_area_fraction")
COUNTS = ("points_per_side", "points_per_batch", "crop_n_layers")
FRACTIONS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "box_nms_thresh",
    "crop_nms_thresh",
    "crop_overlap_ratio",
)
ARGUMENTS = {*RANGES, *FRACTIONS, "stability_score_offset", "max_area_fraction"}


def check_numbers(given: dict[str, Any]) -> None:
    """`given` are arguments by name, None if missing.

    Raises GeneratorError for a value that is not a number, NaN or out of its range, and for counts that are not whole.
    """
    for name, value in given.items():
        if value is None and name in OPTIONAL:
            continue
        if value is None or not is_number(value):
            raise GeneratorError(f"{name} must be a number, got {str(value)[:40]!r}")
        least, most = RANGES.get(name, (-math.inf, math.inf))
        if not least <= value <= most:
            at_most = f" and at most {most:g}" if most < math.inf else ""
            raise GeneratorError(f"{name} must be at least {least:g}{at_most}, got {str(value)[:40]}")
        if name in COUNTS and value % 1:
            raise GeneratorError(f"{name} must be a whole number, got {value:g}")
    if not 0 <= given["crop_overlap_ratio"] < 1:
        raise GeneratorError(
            f"crop_overlap_ratio must be at least 0 and below 1, got {given['crop_overlap_ratio']:g}"
        )


def is_number(value: Any) -> bool:
    try:
        return not math.isnan(value)
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, int)  # larger than any float


def grids_of(
    points_per_side: int | None,
    point_grids: Sequence[NDArray] | None,
    crop_n_layers: int,
    downscale_factor: int,
) -> list[NDArray]:
    """The points of each layer of crops, [N, 2] in 0 … 1.

    `point_grids` replace the default `points_per_side`.  Raises GeneratorError for both or neither, a layer without
    clicks, and invalid grids.
    """
    if (points_per_side is None) == (point_grids is None) and points_per_side != DEFAULT_POINTS_PER_SIDE:
        raise GeneratorError("give either points_per_side or point_grids, and only one of them")
    if point_grids is None:
        assert points_per_side is not None
        if points_per_side / downscale_factor**crop_n_layers < 1:
            raise GeneratorError(
                f"points_per_side={points_per_side} leaves no click on the crops of layer {crop_n_layers}"
            )
        return build_all_layer_point_grids(points_per_side, crop_n_layers, downscale_factor)
    if len(point_grids) <= crop_n_layers:
        raise GeneratorError(f"crop_n_layers={crop_n_layers} needs {crop_n_layers + 1} point_grids")
    return [check_grid(number, grid) for number, grid in enumerate(point_grids)]


def check_grid(number: int, grid: object) -> NDArray:
    try:
        points: NDArray = np.asarray(grid, np.float64)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except (TypeError, ValueError):
        points = np.zeros((0, 0))
    if points.ndim != 2 or points.shape[1] != 2 or not ((points >= 0) & (points <= 1)).all():
        raise GeneratorError(f"point_grids[{number}] must have the shape (N, 2), with x and y in 0 … 1")
    return points

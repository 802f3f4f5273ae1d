"""Which predicted mask finds which target: COCO's greedy rule (cocoapi, cocoeval.py).

    in the order of falling scores, a prediction takes the target that is still free with the highest IoU >= t

A target to be ignored (a crowd, or one outside the range of sizes) is taken only if no other can be. A prediction
that takes an ignored target, or that takes none and is itself outside the range, is not counted.  A crowd can be
taken any number of times; in place of the IoU, the share of the prediction inside the crowd is used.

D predictions   G targets   T thresholds of IoU
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""COCO's ranges of areas in pixels, both ends included."""


@dataclass(frozen=True)
class Overlaps:
    """The data on the masks of one image."""

    iou: NDArray[np.float64]
    """[D, G]."""
    scores: NDArray[np.float64]
    """[D]."""
    areas: NDArray[np.float64]
    """[D], pixels."""
    target_areas: NDArray[np.float64]
    """[G]."""
    crowd: NDArray[np.bool_]
    """[G]."""


def overlaps(
    masks: NDArray[np.bool_],
    scores: NDArray[np.floating],
    targets: NDArray[np.bool_],
    crowd: NDArray[np.bool_] | None = None,
) -> Overlaps:
    """Masks [D, H, W] with scores [D], and targets [G, H, W], of one image."""
    crowd = np.zeros(len(targets), bool) if crowd is None else crowd
    pixels = targets.shape[1] * targets.shape[2]
    flat, flat_targets = (m.reshape(len(m), pixels).astype(np.float32) for m in (masks, targets))
    areas, target_areas = flat.sum(axis=1, dtype=np.float64), flat_targets.sum(axis=1, dtype=np.float64)
    shared = (flat @ flat_targets.T).astype(np.float64)
    whole = np.where(crowd, areas[:, None], areas[:, None] + target_areas - shared)
    return Overlaps(shared / np.maximum(whole, 1), np.asarray(scores, np.float64), areas, target_areas, crowd)


@dataclass(frozen=True)
class Matches:
    """The predictions of one image by falling score, at most k, and their matches at every threshold."""

    scores: NDArray[np.float64]
    """[D]."""
    found: NDArray[np.bool_]
    """[T, D]: takes a target."""
    ignored: NDArray[np.bool_]
    """[T, D]: counts neither as correct nor as wrong."""
    targets: int
    """How many targets there are to find."""


def match_masks(
    image: Overlaps,
    size: str = "all",
    most: int = 100,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> Matches:
    """Match the `most` predictions with the highest scores to the targets whose size is in the range `size`."""
    low, high = SIZES[size]
    set_aside = image.crowd | (image.target_areas < low) | (image.target_areas > high)
    order = np.argsort(-image.scores, kind="stable")[:most]
    needed = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), len(set_aside)), bool)
    found = np.zeros((len(thresholds), len(order)), bool)
    ignored = np.zeros_like(found)
    rows = np.arange(len(thresholds))
    for place, prediction in enumerate(order):
        iou = image.iou[prediction]
        possible = free & (iou >= needed)
        proper = possible & ~set_aside
        possible = np.where(proper.any(axis=1, keepdims=True), proper, possible)
        hit = possible.any(axis=1)
        taken = last_argmax(np.where(possible, iou, -1))
        found[:, place] = hit
        outside = not low <= image.areas[prediction] <= high
        ignored[:, place] = outside
        ignored[hit, place] = set_aside[taken[hit]]
        spent = hit.copy()
        spent[hit] = ~image.crowd[taken[hit]]
        free[rows[spent], taken[spent]] = False
    return Matches(image.scores[order], found, ignored, int((~set_aside).sum()))


def last_argmax(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """[T, G] -> [T]: the last of equal maxima, as in COCO's loop; 0 if there is no value."""
    T, G = values.shape
    return G - 1 - values[:, ::-1].argmax(axis=1) if G else np.zeros(T, np.int64)

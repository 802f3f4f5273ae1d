"""Mask AP: the precision of the predictions, averaged over recall (COCO's definition).

    predictions of all images in the order of falling scores; after the n-th
        recall_n    = correct among the first n / targets
        precision_n = correct among the first n / n
    AP_t = mean over r = 0, 0.01, …, 1 of  max {precision_n : recall_n >= r}, or 0 if r is never reached
    AP   = mean over t = 0.5, 0.55, …, 0.95 of AP_t;  correct: IoU >= t with a target that was free

Predictions that are ignored (minisam/evaluate/mask_matching.py) are left out of both counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minisam.evaluate.mask_matching import IOU_THRESHOLDS, Matches, Overlaps, match_masks

RECALLS = np.linspace(0, 1, 101)


def average_precision(
    images: Sequence[Overlaps],
    size: str = "all",
    most: int = 100,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> NDArray[np.float64]:
    """AP_t of one class at every threshold, [T]; their mean is AP, the first AP50.  nan without targets.

    At most `most` predictions of an image count.
    """
    return precision_of_matches(
        [match_masks(image, size, most, thresholds) for image in images], len(thresholds)
    )


def precision_of_matches(
    matches: Sequence[Matches], thresholds: int = len(IOU_THRESHOLDS)
) -> NDArray[np.float64]:
    """AP_t from the matches of every image at `thresholds` thresholds, [T]; nan without targets."""
    targets = sum(match.targets for match in matches)
    if not targets:
        return np.full(thresholds, np.nan)
    order = np.argsort(-np.concatenate([match.scores for match in matches]), kind="stable")
    found = np.concatenate([match.found for match in matches], axis=1)[:, order]
    counted = ~np.concatenate([match.ignored for match in matches], axis=1)[:, order]
    return np.array(
        [precision_over_recall(row[counts], targets) for row, counts in zip(found, counted, strict=True)]
    )


def precision_over_recall(right: NDArray[np.bool_], targets: int) -> float:
    """AP_t from whether each prediction is correct, in the order of falling scores."""
    found = right.cumsum()
    precision = found / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(found / targets, RECALLS)
    return float(np.append(best_from_here, 0.0)[first].mean())

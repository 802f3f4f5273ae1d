"""AR@k: how many of the targets are among the k best masks of their image (object proposals; SAM section 7.3).

    AR@k = mean over t = 0.5, 0.55, …, 0.95 of  targets found with IoU >= t by the k best / targets

Each mask can find one target.  Wrong masks only use up places among the k: AR rewards covering all objects, AP
rewards precise scores.  The paper ranks SAM's masks by the mean of confidence and stability and reports AR@1000 on
LVIS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minisam.evaluate.mask_matching import IOU_THRESHOLDS, Overlaps, match_masks


def average_recall(
    images: Sequence[Overlaps],
    size: str = "all",
    most: int = 1000,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> float:
    """AR@`most` for targets in the range `size`; nan without targets."""
    counts = [targets_found(image, size, most, thresholds) for image in images]
    found, targets = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return found / (targets * len(thresholds)) if targets else float("nan")


def targets_found(
    image: Overlaps,
    size: str = "all",
    most: int = 1000,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> tuple[int, int]:
    """How many targets of one image are found, summed over the thresholds, and how many there are."""
    match = match_masks(image, size, most, thresholds)
    return int((match.found & ~match.ignored).sum()), match.targets


def proposal_scores(predicted_iou: ArrayLike, stability_score: ArrayLike) -> NDArray[np.float64]:
    """The paper's score for ranking proposals: the mean of the two, [D]."""
    return (np.asarray(predicted_iou, np.float64) + np.asarray(stability_score, np.float64)) / 2

"""Scores of edge maps: ODS, OIS, AP and R50 (Arbeláez et al. 2011; the benchmark of BSDS500).

    at a threshold    precision P = matched predicted pixels / predicted pixels
                      recall    R = matched true pixels / true pixels           F = 2 P R / (P + R)
    ODS   the best F of one threshold for all images, over their sums
    OIS   F over the sums when every image has its own best threshold
    AP    the area under precision over recall: mean over R = 0, 0.01, …, 1, linear in between, as high as at the
          lowest recall below it, and 0 above the highest
    R50   the highest recall at a precision of at least 0.5

Pixels are matched one-to-one (minisam/evaluate/edge_matching.py).  If several people annotated an image, as in
BSDS500, a predicted pixel is correct if it matches any of them, and the recall is over the edges of all of them.  The
edge maps are already thin and are not thinned again at every threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minisam.evaluate.edge_matching import match_edges

THRESHOLDS = np.arange(1, 100) / 100
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class EdgeCounts:
    """Pixels of one image, or summed over several, at every threshold, [T]."""

    right: NDArray[np.int64]
    """Predicted pixels that match the edges of at least one person."""
    predicted: NDArray[np.int64]
    found: NDArray[np.int64]
    """True pixels that are matched, summed over people."""
    true: NDArray[np.int64]

    def scores(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Precision, recall and F, each [T]; 0 if the denominator is 0."""
        precision = self.right / np.maximum(self.predicted, 1)
        recall = self.found / np.maximum(self.true, 1)
        return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)

    def at(self, threshold: int) -> EdgeCounts:
        """The counts of one threshold, [1]."""
        one = slice(threshold, threshold + 1)
        return EdgeCounts(self.right[one], self.predicted[one], self.found[one], self.true[one])


@dataclass(frozen=True)
class EdgeScores:
    """The four numbers, and the threshold at which ODS is reached."""

    ods: float
    ois: float
    ap: float
    r50: float
    threshold: float


def count_edges(
    strength: NDArray[np.floating],
    truths: Sequence[NDArray[np.bool_]],
    tolerance: float | None = None,
    thresholds: NDArray[np.float64] = THRESHOLDS,
) -> EdgeCounts:
    """Edge strengths [H, W] in 0 … 1 against the true edges [H, W] of one person or several.

    A pixel is predicted at a threshold t if its strength is at least t.  `tolerance` is in pixels; None means 0.75 %
    of the diagonal.
    """
    matches = [match_edges(strength, truth, tolerance) for truth in truths]
    falling = matches[0][0]
    predicted = np.searchsorted(-falling, -thresholds, side="right")
    matched = np.array([match for _, match in matches])
    right = np.append(0, matched.any(axis=0).cumsum())[predicted]
    found = np.append(0, matched.sum(axis=0).cumsum())[predicted]
    true = np.full(len(thresholds), sum(int(truth.sum()) for truth in truths))
    return EdgeCounts(right, predicted, found, true)


def edge_scores(images: Sequence[EdgeCounts], thresholds: NDArray[np.float64] = THRESHOLDS) -> EdgeScores:
    """The scores of a data set from the counts of its images."""
    return scores_of_sums(add(images), add(own_best(images)), thresholds)


def resampled_edge_scores(
    images: Sequence[EdgeCounts],
    weights: NDArray[np.floating],
    thresholds: NDArray[np.float64] = THRESHOLDS,
) -> list[EdgeScores]:
    """The scores of each of R data sets in which image i occurs weights[r, i] times, weights [R, I]."""
    everywhere, best = stack(images), stack(own_best(images))
    return [
        scores_of_sums(
            EdgeCounts(**{name: row @ counts for name, counts in everywhere.items()}),
            EdgeCounts(**{name: row @ counts for name, counts in best.items()}),
            thresholds,
        )
        for row in weights
    ]


def scores_of_sums(together: EdgeCounts, own_best: EdgeCounts, thresholds: NDArray[np.float64]) -> EdgeScores:
    """From the sums over images at every threshold, and those at each image's own best one."""
    precision, recall, f = together.scores()
    rising = np.argsort(recall, kind="stable")
    curve = np.interp(RECALLS, recall[rising], precision[rising], right=0.0)
    sure = recall[precision >= 0.5]
    return EdgeScores(
        ods=float(f.max()),
        ois=float(own_best.scores()[2][0]),
        ap=float(curve.mean()),
        r50=float(sure.max(initial=0.0)),
        threshold=float(thresholds[f.argmax()]),
    )


def own_best(images: Sequence[EdgeCounts]) -> list[EdgeCounts]:
    """Each image at the threshold that is best for it."""
    return [image.at(int(image.scores()[2].argmax())) for image in images]


def add(images: Sequence[EdgeCounts]) -> EdgeCounts:
    """Sums over images."""
    return EdgeCounts(**{name: counts.sum(axis=0) for name, counts in stack(images).items()})


def stack(images: Sequence[EdgeCounts]) -> dict[str, NDArray[np.int64]]:
    """The counts of several images, each stacked to [I, T]."""
    names = ("right", "predicted", "found", "true")
    return {name: np.stack([getattr(image, name) for image in images]) for name in names}

"""AP of several detectors on the same images, and the interval of their difference.

AP depends on all images together: a resample draws images with replacement, joins the matches of those drawn, and
computes AP again.  The matches of an image do not depend on other images, and are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from minisam.adapt.rsprompter.measure import ImageOverlaps
from minisam.evaluate.average_precision import precision_of_matches
from minisam.evaluate.bootstrap import COVERAGE, Estimate
from minisam.evaluate.mask_matching import Matches, match_masks

RESAMPLES = 200
ImageMatches = dict[tuple[str, int], Matches]


def matches_of(image: ImageOverlaps) -> ImageMatches:
    return {place: match_masks(overlaps) for place, overlaps in image.items()}


def mean_ap(images: Sequence[ImageMatches], kind: str, labels: Sequence[int]) -> NDArray[np.float64]:
    """AP at every threshold, the mean over those of `labels` that have targets, [10]; 0 without any."""
    rows = [
        precision_of_matches([image[kind, label] for image in images if (kind, label) in image])
        for label in labels
    ]
    rows = [row for row in rows if not np.isnan(row).any()]
    return np.mean(rows, axis=0) if rows else np.zeros(10)


def estimate_ap(
    runs: Mapping[str, Sequence[Sequence[ImageMatches]]],
    statistic: Callable[[dict[str, float]], float],
    kind: str,
    labels: Sequence[int],
) -> Estimate:
    """The value of `statistic` of all detectors' AP, in percent, and its interval over resampled images.

    `runs` has for each detector its runs, each with the matches of every image; an AP is the mean over the runs.
    """
    count = len(next(iter(runs.values()))[0])
    generator = np.random.default_rng(0)
    draws = [np.arange(count), *(generator.integers(count, size=count) for _ in range(RESAMPLES))]
    values = []
    for draw in draws:
        ap = {
            name: float(np.mean([mean_ap([run[n] for n in draw], kind, labels).mean() for run in own]))
            for name, own in runs.items()
        }
        values.append(100 * statistic(ap))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Estimate(values[0], float(low), float(high))

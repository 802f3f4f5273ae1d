"""AP from matches, and the interval of a difference of two detectors."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.evaluate.mask_matching import Overlaps
from minisam.experiments.shared.detector_ap import estimate_ap, matches_of, mean_ap


def image(*found: tuple[int, float, float]):
    """One target of each class 0 and 1; each result has a class, a score and an IoU with its target."""
    overlaps = {}
    for label in (0, 1):
        own = [(score, iou) for of, score, iou in found if of == label]
        scores, iou = np.array([s for s, _ in own]), np.array([[i] for _, i in own]).reshape(-1, 1)
        areas = np.full(len(own), 50.0)
        overlaps["mask", label] = Overlaps(iou, scores, areas, np.array([50.0]), np.array([False]))
    return matches_of(overlaps)


def test_ap_is_the_mean_over_classes_with_targets():
    images = [image((0, 0.9, 1.0)), image((0, 0.8, 0.77), (1, 0.7, 1.0))]
    assert mean_ap(images, "mask", [0])[:6] == pytest.approx(1)  # 0.77 reaches 0.5 to 0.75
    assert mean_ap(images, "mask", [0])[6:] == pytest.approx(51 / 101)
    assert mean_ap(images, "mask", [0, 1, 2])[0] == pytest.approx((1 + 51 / 101) / 2)
    assert mean_ap([], "mask", [0]).tolist() == [0] * 10


def test_a_better_detector_is_better_with_an_interval_above_zero():
    good = [image((0, 0.9, 0.95), (1, 0.8, 0.95)) for _ in range(12)]
    poor = [image((0, 0.9, 0.6), (1, 0.8, 0.3)) for _ in range(12)]
    gain = estimate_ap(
        {"good": [good], "poor": [poor, poor]}, lambda ap: ap["good"] - ap["poor"], "mask", [0, 1]
    )
    assert gain.low > 0 and gain.value == pytest.approx(100 - 100 * 3 / 10 / 2)
    nothing = estimate_ap({"good": [good]}, lambda ap: ap["good"] - ap["good"], "mask", [0, 1])
    assert (nothing.low, nothing.value, nothing.high) == (0, 0, 0)

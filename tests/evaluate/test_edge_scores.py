"""Scores by hand, and counts against a matching of every threshold on its own."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.evaluate.edge_scores import (
    THRESHOLDS,
    EdgeCounts,
    add,
    count_edges,
    edge_scores,
    resampled_edge_scores,
)

csgraph = pytest.importorskip("scipy.sparse.csgraph", reason="pip install -e '.[test]' brings scipy")
sparse = pytest.importorskip("scipy.sparse", reason="pip install -e '.[test]' brings scipy")


def counts(right, predicted, found, true):
    return EdgeCounts(*(np.array(values) for values in (right, predicted, found, true)))


def pairs(predicted: np.ndarray, truth: np.ndarray, tolerance: float) -> int:
    left, targets = np.argwhere(predicted), np.argwhere(truth)
    if not len(left) or not len(targets):
        return 0
    distance = np.hypot(*(left[:, None] - targets[None]).transpose(2, 0, 1))
    graph = sparse.csr_array((distance <= tolerance).astype(int))
    return int((csgraph.maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def test_counts_are_those_of_every_threshold_on_its_own():
    rng = np.random.default_rng(0)
    strength = (rng.random((24, 30)) * (rng.random((24, 30)) < 0.3)).astype(np.float32)
    strength[::4], strength[1::4] = (strength[::4] > 0) * 0.5, (strength[1::4] > 0) * 1.0
    truth = rng.random((24, 30)) < 0.15
    thresholds = np.array([0.01, 0.3, 0.5, 0.99, 1.0])
    found = count_edges(strength, [truth], 1.5, thresholds)
    for place, threshold in enumerate(thresholds):
        assert found.predicted[place] == (strength >= threshold).sum()
        assert found.right[place] == found.found[place] == pairs(strength >= threshold, truth, 1.5)
    assert (found.true == truth.sum()).all()
    assert found.right[0] < min(found.predicted[0], found.true[0])


def test_of_several_people_anybody_makes_right_and_everybody_is_to_be_found():
    first, second, strength = (np.zeros((9, 9)) for _ in range(3))
    first[2, :] = second[2, :] = second[6, :] = 1
    strength[2, :], strength[6, :4], strength[4, 4] = 0.9, 0.5, 0.2
    found = count_edges(strength, [first > 0, second > 0], 0.5, np.array([0.1, 0.4, 0.8]))
    assert found.right.tolist() == [13, 13, 9]
    assert found.predicted.tolist() == [14, 13, 9]
    assert found.found.tolist() == [22, 22, 18]
    assert found.true.tolist() == [27] * 3


def test_scores_of_two_images_by_hand():
    """Each image has its own best threshold, so that OIS is above ODS."""
    one = counts([8, 2], [10, 2], [8, 2], [10, 10])
    two = counts([5, 5], [20, 5], [5, 5], [10, 10])
    scores = edge_scores([one, two], thresholds=np.array([0.3, 0.6]))
    low, high = 2 * (13 / 30) * (13 / 20) / (13 / 30 + 13 / 20), 2 * 1 * (7 / 20) / (1 + 7 / 20)
    assert scores.ods == pytest.approx(max(low, high)) and low != high
    assert scores.threshold == (0.3 if low > high else 0.6)
    ois = 2 * (13 / 15) * (13 / 20) / (13 / 15 + 13 / 20)
    assert scores.ois == pytest.approx(ois) and scores.ois > scores.ods
    assert scores.r50 == pytest.approx(7 / 20)
    between = [1 + (13 / 30 - 1) * (r / 100 - 0.35) / 0.3 for r in range(36, 66)]
    assert scores.ap == pytest.approx((36 * 1 + sum(between)) / 101, abs=1e-9)


def test_perfect_and_worthless_edges():
    truth = np.zeros((20, 20), bool)
    truth[5, 3:17] = True
    perfect = edge_scores([count_edges(truth.astype(float), [truth])])
    assert (perfect.ods, perfect.ois, perfect.ap, perfect.r50) == (1, 1, 1, 1)
    nothing = edge_scores([count_edges(np.zeros((20, 20)), [truth])])
    assert (nothing.ods, nothing.ois, nothing.ap, nothing.r50) == (0, 0, 0, 0)
    wrong = edge_scores([count_edges(truth[::-1].astype(float), [truth])])
    assert (wrong.ods, wrong.ap, wrong.r50) == (0, 0, 0)


def test_sums_are_over_images():
    image = counts([1] * 99, [2] * 99, [1] * 99, [4] * 99)
    total = add([image, image, image])
    assert total.right.tolist() == [3] * 99 and total.true.tolist() == [12] * 99
    assert len(THRESHOLDS) == 99 and THRESHOLDS[0] == 0.01


def test_a_resample_is_the_data_set_with_its_images_as_often_as_they_were_drawn():
    rng = np.random.default_rng(1)
    images = []
    for _ in range(3):
        right = np.sort(rng.integers(0, 20, 99))[::-1]
        images.append(counts(right, right + np.sort(rng.integers(0, 30, 99))[::-1], right, [25] * 99))
    weights = np.array([[1, 1, 1], [0, 3, 0], [2, 0, 1]])
    for row, scores in zip(weights, resampled_edge_scores(images, weights), strict=True):
        drawn = [image for image, times in zip(images, row, strict=True) for _ in range(times)]
        assert scores == edge_scores(drawn)


def test_recall_at_a_precision_of_a_half_includes_the_half():
    image = counts([4, 3], [4, 6], [4, 3], [10, 10])
    assert edge_scores([image], np.array([0.2, 0.8])).r50 == pytest.approx(0.4)
    exactly_half = counts([2, 6], [2, 12], [2, 6], [10, 10])
    assert edge_scores([exactly_half], np.array([0.8, 0.2])).r50 == pytest.approx(0.6)
    less = counts([2, 6], [2, 13], [2, 6], [10, 10])
    assert edge_scores([less], np.array([0.8, 0.2])).r50 == pytest.approx(0.2)

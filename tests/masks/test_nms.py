"""Non-maximum suppression against its definition, one pair of boxes at a time."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.masks.nms import box_nms


def by_definition(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Take the best box that is left, drop what overlaps it too much."""
    left = sorted(range(len(boxes)), key=lambda n: (-scores[n], n))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [n for n in left if not overlap_above(boxes[n], boxes[best], threshold)]
    return kept


def overlap_above(a: np.ndarray, b: np.ndarray, threshold: float) -> bool:
    """By whole numbers; no union, no overlap."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = int(max(width, 0) * max(height, 0))
    union = int((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - inter
    return union > 0 and float(np.float32(inter) / np.float32(union)) > threshold


def random_boxes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Up to 40 boxes on a small grid, some without an area, with scores that tie."""
    count = int(rng.integers(0, 40))
    corner = rng.integers(0, 30, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 20, (count, 2))], axis=1)
    scores = rng.integers(0, 8, count).astype(np.float32) / 8 if rng.random() < 0.5 else rng.random(count)
    return boxes, scores, float(rng.choice([0.0, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0]))


def compare(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        boxes, scores, threshold = random_boxes(rng)
        assert box_nms(boxes, scores, threshold).tolist() == by_definition(boxes, scores, threshold)


def test_random_boxes():
    compare(300, seed=0)


@pytest.mark.slow
def test_ten_thousand_random_boxes():
    compare(10_000, seed=1)


def test_an_overlap_of_exactly_the_threshold_is_allowed():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assert box_nms(boxes, [0.9, 0.8], 0.5).tolist() == [0, 1]
    assert box_nms(boxes, [0.9, 0.8], 0.49).tolist() == [0]


def test_equal_scores_keep_their_order_and_boxes_without_area_stay():
    boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [0, 3, 8, 3]]
    assert box_nms(boxes, [0.5, 0.5, 0.5], 0.1).tolist() == [0, 1, 2]

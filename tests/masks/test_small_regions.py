"""Holes and islands against scipy's components of the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.masks.runs import borders_to_columns, mask_to_borders
from minisam.masks.small_regions import fill_small_holes, remove_small_islands
from minisam.predict.everything.candidates import Candidates
from minisam.predict.everything.clean_masks import clean_masks

ndimage = pytest.importorskip("scipy.ndimage", reason="pip install -e '.[test]' brings scipy")


def without_small(mask: np.ndarray, min_area: int, keep_largest: bool) -> np.ndarray:
    """By pixels: the islands that are large enough."""
    labels, count = ndimage.label(mask, np.ones((3, 3), bool))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(sizes >= min_area) + 1
    if keep_largest and count and not len(large):
        large = [sizes.argmax() + 1]
    return np.isin(labels, large)


def compare(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for case in range(cases):
        noise = ndimage.uniform_filter(rng.random(tuple(rng.integers(1, 40, 2))), int(rng.integers(1, 4)))
        mask = noise < np.quantile(noise, rng.random())
        min_area, keep_largest = int(rng.integers(1, 30)), bool(case % 2)
        borders, size = mask_to_borders(mask.T), mask.shape
        filled = fill_small_holes(borders, size, min_area)
        expected = ~without_small(~mask, min_area, False)
        np.testing.assert_array_equal(borders_to_columns(filled, size).T, expected)
        assert (filled is borders) == np.array_equal(expected, mask)
        kept = remove_small_islands(borders, size, min_area, keep_largest)
        expected = without_small(mask, min_area, keep_largest)
        np.testing.assert_array_equal(borders_to_columns(kept, size).T, expected)
        assert (kept is borders) <= np.array_equal(expected, mask)


def test_random_masks():
    compare(300, seed=0)


@pytest.mark.slow
def test_ten_thousand_random_masks():
    compare(10_000, seed=1)


def candidates(*masks: np.ndarray) -> Candidates:
    count = len(masks)
    return Candidates(
        borders=[mask_to_borders(mask.T) for mask in masks],
        boxes=np.array(
            [
                [
                    np.nonzero(m)[1].min(),
                    np.nonzero(m)[0].min(),
                    np.nonzero(m)[1].max(),
                    np.nonzero(m)[0].max(),
                ]
                for m in masks
            ]
        ),
        crop_boxes=np.zeros((count, 4), np.int64),
        iou_predictions=np.arange(count, dtype=np.float32),
        stability_scores=np.ones(count, np.float32),
        points=np.zeros((count, 2)),
    )


def square(*extra: tuple[int, int]) -> np.ndarray:
    """A square of 10 x 10 pixels, and single pixels toggled."""
    mask = np.zeros((30, 30), bool)
    mask[5:15, 5:15] = True
    for pixel in extra:
        mask[pixel] = not mask[pixel]
    return mask


def test_a_mask_that_was_clean_is_preferred():
    """A hole and an island make two masks of the same object; cleaned they are the third, which stays."""
    given = candidates(square((8, 8)), square((25, 25)), square())
    kept = clean_masks(given, (30, 30), 5, 0.7, keep_largest=True)
    assert kept.iou_predictions.tolist() == [2]
    kept = clean_masks(given.take(np.array([0, 1])), (30, 30), 5, 0.7, keep_largest=True)
    assert kept.iou_predictions.tolist() == [0]
    assert kept.boxes.tolist() == [[5, 5, 14, 14]]
    np.testing.assert_array_equal(borders_to_columns(kept.borders[0], (30, 30)).T, square())


def test_the_paper_drops_what_has_no_large_region():
    dust = np.zeros((30, 30), bool)
    dust[20, 20:23] = dust[28, 28] = True
    given = candidates(dust, square())
    kept = clean_masks(given, (30, 30), 5, 0.7, keep_largest=True)
    assert kept.iou_predictions.tolist() == [1, 0] and kept.boxes[1].tolist() == [20, 20, 22, 20]
    assert clean_masks(given, (30, 30), 5, 0.7, keep_largest=False).iou_predictions.tolist() == [1]

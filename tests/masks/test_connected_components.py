"""Components from runs against scipy's from pixels."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.masks.connected_components import connected_components, union_find
from minisam.masks.runs import borders_to_columns, mask_to_borders

ndimage = pytest.importorskip("scipy.ndimage", reason="pip install -e '.[test]' brings scipy")
STRUCTURE = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3), bool)}


def random_mask(rng: np.random.Generator, largest: int = 40) -> np.ndarray:
    """Noise of any density, at one pixel or smoothed to blobs."""
    noise = rng.random(tuple(rng.integers(1, largest, 2)))
    if rng.random() < 0.5:
        noise = ndimage.uniform_filter(noise, int(rng.integers(2, 6)))
    return noise < np.quantile(noise, rng.random())


def labels_by_pixel(mask: np.ndarray, connectivity: int) -> np.ndarray:
    """0 outside, 1 … C inside, [H, W]."""
    start, end, label, size = connected_components(mask_to_borders(mask.T), len(mask), connectivity)
    flat = np.zeros(mask.size, np.int64)
    for first, beyond, own in zip(start, end, label, strict=True):
        flat[first:beyond] = own + 1
    assert np.array_equal(np.bincount(flat, minlength=len(size) + 1)[1:], size)
    return flat.reshape(mask.shape[::-1]).T


def compare(cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for case in range(cases):
        mask, connectivity = random_mask(rng), (4, 8)[case % 2]
        ours = labels_by_pixel(mask, connectivity)
        theirs, count = ndimage.label(mask, STRUCTURE[connectivity])
        # The same partition: every pair of labels occurs together or not at all.
        pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
        assert pairs.shape[1] == count + (~mask).any()
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_random_masks():
    compare(300, seed=0)


@pytest.mark.slow
def test_ten_thousand_random_masks():
    compare(10_000, seed=1)


def test_a_spiral_is_one_component_and_its_gap_another():
    mask = np.zeros((41, 41), bool)
    position, direction = (0, 0), (0, 1)
    for length in [40, *[n for k in range(40, 1, -2) for n in (k, k)]][:38]:
        for _ in range(length):
            mask[position] = True
            position = (position[0] + direction[0], position[1] + direction[1])
        direction = (direction[1], -direction[0])
    for region in (mask, ~mask):
        _, count = ndimage.label(region, STRUCTURE[4])
        assert labels_by_pixel(region, 4).max() == count
    assert mask.sum() > 500


def test_columns_that_touch_end_to_start_are_not_neighbours():
    mask = np.zeros((5, 2), bool)
    mask[4, 0] = mask[0, 1] = True  # consecutive pixel numbers, opposite ends
    assert len(connected_components(mask_to_borders(mask.T), 5).size) == 2


def test_diagonal_neighbours_touch_only_if_asked():
    borders = mask_to_borders(np.eye(4, dtype=bool))
    assert len(connected_components(borders, 4, 8).size) == 1
    assert len(connected_components(borders, 4, 4).size) == 4
    with pytest.raises(ValueError, match="4 or 8, got 6"):
        connected_components(borders, 4, 6)


def test_an_empty_mask_has_none():
    assert len(connected_components(mask_to_borders(np.zeros((3, 2), bool)), 2).size) == 0


def test_union_find_on_a_path_in_any_order():
    rng = np.random.default_rng(2)
    nodes = rng.permutation(1000)
    root = union_find(1000, nodes[:-1], nodes[1:])
    assert (root == 0).all()
    assert union_find(4, np.array([1]), np.array([3])).tolist() == [0, 1, 2, 1]
    assert borders_to_columns(np.zeros(0, np.int64), (2, 2)).sum() == 0

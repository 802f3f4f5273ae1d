"""The distance transform against scipy's, exactly, and the deepest pixel by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minisam.masks.distance import interior_points, squared_distance_transform

ndimage = pytest.importorskip("scipy.ndimage")

mask_batches = hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 13), st.integers(1, 17)))


def scipy_squared(masks: np.ndarray) -> np.ndarray:
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    depth = np.stack([ndimage.distance_transform_edt(mask)[1:-1, 1:-1] for mask in padded])
    return np.rint(depth**2).astype(int)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(mask_batches)
def test_equals_scipy(masks):
    assert np.array_equal(squared_distance_transform(torch.from_numpy(masks)).numpy(), scipy_squared(masks))


@pytest.mark.slow
def test_ten_thousand_random_masks_equal_scipy():
    rng = np.random.default_rng(1)
    for _ in range(10_000 // 5):
        noise = ndimage.uniform_filter(rng.random((5, *rng.integers(1, 40, 2))), (0, 3, 3))
        masks = noise < np.quantile(noise, rng.random())
        assert np.array_equal(
            squared_distance_transform(torch.from_numpy(masks)).numpy(), scipy_squared(masks)
        )


@pytest.mark.parametrize("background", [0.0, 0.0005, 0.02, 1.0])
def test_equals_scipy_on_large_masks(background):
    masks = np.random.default_rng(0).random((3, 90, 131)) >= background
    assert np.array_equal(squared_distance_transform(torch.from_numpy(masks)).numpy(), scipy_squared(masks))


def test_thin_diagonals_and_slits():
    masks = np.stack([np.eye(40, dtype=bool), ~np.eye(40, dtype=bool), np.ones((40, 40), bool)])
    masks[2, 20, 5:35] = False
    assert np.array_equal(squared_distance_transform(torch.from_numpy(masks)).numpy(), scipy_squared(masks))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(mask_batches)
def test_interior_point_is_the_first_deepest_pixel(masks):
    points, depth = interior_points(torch.from_numpy(masks))
    for (x, y), found, squared in zip(points.tolist(), depth.tolist(), scipy_squared(masks), strict=True):
        assert found == squared.max()
        assert (y, x) == np.unravel_index(squared.argmax(), squared.shape)


def test_the_image_border_is_outside():
    points, depth = interior_points(torch.ones(1, 5, 9, dtype=torch.bool))
    assert points.tolist() == [[2, 2]]
    assert depth.tolist() == [9]

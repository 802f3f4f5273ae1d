"""The boundary of masks against a loop over pixels."""

import numpy as np
import pytest

from minisam.masks.boundary import boundary, boundary_width


@pytest.mark.parametrize(("size", "d"), [((9, 14), 1), ((13, 8), 2), ((5, 5), 7), ((1, 6), 1)])
def test_a_pixel_belongs_to_it_if_the_outside_is_near(size, d):
    rng = np.random.default_rng(0)
    mask = rng.random(size) < 0.9
    padded = np.pad(mask, d)
    for y, x in np.ndindex(size):
        near_outside = not padded[y : y + 2 * d + 1, x : x + 2 * d + 1].all()
        assert boundary(mask, d)[y, x] == (mask[y, x] and near_outside)


def test_its_width_is_two_percent_of_the_diagonal_and_at_least_one_pixel():
    assert boundary_width(480, 640) == 16
    assert boundary_width(10, 10) == 1
    assert boundary_width(300, 400, share=0.1) == 50


@pytest.mark.parametrize("share", [0.02, 0.013])
@pytest.mark.parametrize("height", [97, 333, 1024])
def test_the_width_is_the_nearest_number_of_pixels(height, share):
    for width in range(height, height + 60, 7):
        exact = share * np.hypot(height, width)
        assert abs(boundary_width(height, width, share) - exact) <= 0.5
        assert boundary_width(height, width, share) == boundary_width(width, height, share)

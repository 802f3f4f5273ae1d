from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from strategies import batches, grids, lengths, normal, seeds

from minisam_kernels.reference.fourier_encoding import fourier_encoding, fourier_grid


def test_values_by_hand():
    gaussian = np.array([[0.25, 1.0], [0.5, 0.0]])
    corner = fourier_encoding(np.array([1.0, 1.0]), gaussian)
    np.testing.assert_allclose(corner, [-1, 0, 0, 1], atol=1e-12)
    right = fourier_encoding(np.array([1.0, 0.5]), gaussian)
    np.testing.assert_allclose(right, [1, 0, 0, 1], atol=1e-12)
    below = fourier_encoding(np.array([0.5, 0.625]), gaussian)
    np.testing.assert_allclose(below, [np.sqrt(0.5), 0, np.sqrt(0.5), 1], atol=1e-12)


def test_the_middle_has_no_phase():
    code = fourier_encoding(np.full(2, 0.5), normal(0, 2, 6))
    np.testing.assert_array_equal(code, [0] * 6 + [1] * 6)


@given(seed=seeds, batch=batches, points=lengths, frequencies=lengths)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_dot_product_depends_on_the_distance_alone(seed, batch, points, frequencies):
    gaussian = normal(seed, 2, frequencies)
    first, second = normal(seed, batch, points, 2), normal(seed + 1, batch, points, 2)
    codes = [fourier_encoding(x, gaussian) for x in (first, second)]
    expected = np.cos(4 * np.pi * (first - second) @ gaussian).sum(axis=-1)
    np.testing.assert_allclose((codes[0] * codes[1]).sum(axis=-1), expected, atol=1e-9 * frequencies)


@given(seed=seeds, grid=grids, frequencies=lengths)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_grid_holds_the_code_of_every_centre(seed, grid, frequencies):
    gaussian, (H, W) = normal(seed, 2, frequencies), grid
    codes = fourier_grid(H, W, gaussian)
    assert codes.shape == (2 * frequencies, H, W)
    for i in range(H):
        for j in range(W):
            centre = np.array([(j + 0.5) / W, (i + 0.5) / H])
            np.testing.assert_allclose(
                codes[:, i, j], fourier_encoding(centre, gaussian), rtol=1e-12, atol=1e-12
            )


def test_keeps_float32():
    gaussian = normal(0, 2, 4).astype(np.float32)
    assert fourier_grid(3, 4, gaussian).dtype == np.float32
    assert fourier_encoding(normal(1, 5, 2).astype(np.float32), gaussian).dtype == np.float32

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from strategies import batches, grids, lengths, normal, seeds

from minisam_kernels.reference.fourier_encoding import fourier_encoding, fourier_grid
from minisam_kernels.reference.point_encoding import box_encoding, point_encoding

FREQUENCIES = 4


def draw(seed, batch, count, image_size):
    height, width = image_size
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1 + np.array([width, height]), (batch, count, 2))
    labels = rng.integers(-1, 4, (batch, count))
    kinds, not_a_point = normal(seed, 4, 2 * FREQUENCIES), normal(seed, 2 * FREQUENCIES)
    return points, labels, normal(seed, 2, FREQUENCIES), kinds, not_a_point


@given(seed=seeds, batch=batches, count=lengths, image_size=grids)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_is_the_definition_point_by_point(seed, batch, count, image_size):
    points, labels, gaussian, kinds, not_a_point = draw(seed, batch, count, image_size)
    tokens = point_encoding(points, labels, gaussian, kinds, not_a_point, image_size)
    for b in range(batch):
        for k in range(count):
            x, y = points[b, k]
            expected = not_a_point
            if labels[b, k] >= 0:
                place = np.array([(x + 0.5) / image_size[1], (y + 0.5) / image_size[0]])
                expected = fourier_encoding(place, gaussian) + kinds[labels[b, k]]
            np.testing.assert_allclose(tokens[b, k], expected, rtol=1e-12, atol=1e-12)


@given(seed=seeds, batch=batches, count=lengths, image_size=grids)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_padding_point_has_no_position(seed, batch, count, image_size):
    points, labels, *rest = draw(seed, batch, count, image_size)
    labels[:, 0] = -1
    elsewhere = np.where((labels == -1)[..., None], points + 3, points)
    tokens = point_encoding(points, labels, *rest, image_size)
    np.testing.assert_array_equal(tokens, point_encoding(elsewhere, labels, *rest, image_size))


def test_pixel_centres_are_the_cells_of_the_grid():
    height, width = 3, 5
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    points, gaussian = np.stack([x, y], axis=-1).reshape(1, -1, 2), normal(0, 2, FREQUENCIES)
    nothing = np.zeros((4, 2 * FREQUENCIES))
    tokens = point_encoding(points, np.ones((1, 15), int), gaussian, nothing, nothing[0], (height, width))
    grid = fourier_grid(height, width, gaussian).reshape(2 * FREQUENCIES, -1).T
    np.testing.assert_allclose(tokens[0], grid, rtol=1e-12, atol=1e-12)


@given(seed=seeds, batch=batches, count=batches, image_size=grids)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_box_is_its_two_corners(seed, batch, count, image_size):
    points, _, gaussian, kinds, not_a_point = draw(seed, batch, 2 * count, image_size)
    labels = np.array([[2, 3] * count] * batch)
    corners = point_encoding(points, labels, gaussian, kinds, not_a_point, image_size)
    boxes = points.reshape(batch, count, 4)
    np.testing.assert_array_equal(box_encoding(boxes, gaussian, kinds, image_size), corners)
    np.testing.assert_allclose(
        corners[:, 0::2] - corners[:, 1::2],
        fourier_encoding((points[:, 0::2] + 0.5) / image_size[::-1], gaussian)
        - fourier_encoding((points[:, 1::2] + 0.5) / image_size[::-1], gaussian)
        + (kinds[2] - kinds[3]),
        atol=1e-11,
    )


def test_keeps_float32():
    points, labels, *rest = draw(0, 2, 3, (8, 9))
    as_float32 = [x.astype(np.float32) for x in rest]
    assert point_encoding(points.astype(np.float32), labels, *as_float32, (8, 9)).dtype == np.float32

"""Polygons compared with pycocotools, pixel for pixel; invalid polygons are refused."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.errors import DatasetError
from minisam.masks.polygons import polygons_to_mask

coco_mask = pytest.importorskip("pycocotools.mask", reason="pip install -e '.[test]' brings pycocotools")


def random_polygon(rng: np.random.Generator, size: tuple[int, int]) -> list[float]:
    """Crossing itself or not, partly outside, on whole and half pixels, tiny and huge, with doubled corners."""
    height, width = size
    corners = int(rng.integers(3, 12))
    spread = rng.choice([0.3, 1.0, 1.6])
    xy = (rng.random((corners, 2)) - 0.5) * spread + 0.5
    if rng.random() < 0.5:
        angle = np.sort(rng.random(corners)) * 2 * np.pi
        xy = 0.5 + spread * 0.4 * np.stack([np.cos(angle), np.sin(angle)], 1)
    xy = xy * [width, height]
    rounding = rng.integers(4)
    if rounding:
        xy = np.round(xy * rounding) / rounding
    if rng.random() < 0.2:
        xy = np.repeat(xy, 2, axis=0)
    return xy.ravel().tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_random_polygons_equal_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(1500):
        size = (int(rng.integers(1, 60)), int(rng.integers(1, 60)))
        polygons = [random_polygon(rng, size) for _ in range(rng.integers(1, 4))]
        theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size)))
        np.testing.assert_array_equal(polygons_to_mask(polygons, size), theirs.astype(bool), str(polygons))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_large_picture_equals_pycocotools():
    size, turn = (700, 1100), np.linspace(0, 2 * np.pi, 900, endpoint=False)
    radius = 300 + 80 * np.sin(9 * turn)
    polygon = np.stack([550 + radius * np.cos(turn), 350 + radius * np.sin(turn)], 1).ravel().tolist()
    theirs = coco_mask.decode(coco_mask.frPyObjects([polygon], *size))[..., 0]
    np.testing.assert_array_equal(polygons_to_mask([polygon], size), theirs.astype(bool))


def test_a_rectangle_covers_the_pixels_with_their_middles_inside():
    mask = polygons_to_mask([[1, 2, 5, 2, 5, 4, 1, 4]], (6, 8))
    assert mask.sum() == 8
    assert mask[2:4, 1:5].all()


@pytest.mark.parametrize(
    "polygons",
    [
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, "x"]],
        [[1, 2, 3, 4, 5, None]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 1e300]],
        [[[1, 2], [3, 4], [5, 6]]],
        [[0, 0, 1e7, 1e7] * 40],
        [1, 2, 3, 4, 5, 6],
    ],
)
def test_what_is_no_polygon_is_one_clear_error(polygons):
    with pytest.raises(DatasetError) as caught:
        polygons_to_mask(polygons, (10, 10))
    assert "\n" not in str(caught.value)

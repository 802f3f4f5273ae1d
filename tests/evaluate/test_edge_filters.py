"""Gaussian, gradient and hysteresis against scipy's, hysteresis at every threshold on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.evaluate.edge_filters import (
    WEAK,
    canny_edges,
    colour_gradient,
    gaussian_blur,
    hysteresis,
    sobel_edges,
)
from minisam.evaluate.edge_map import sobel

ndimage = pytest.importorskip("scipy.ndimage", reason="pip install -e '.[test]' brings scipy")


def kept_at(strength: np.ndarray, threshold: float) -> np.ndarray:
    """Canny's hysteresis as it is usually written: regions of weak pixels that have a strong one."""
    regions, _ = ndimage.label(strength >= WEAK * threshold, np.ones((3, 3)))
    strong = np.unique(regions[strength >= threshold])
    return np.isin(regions, strong[strong > 0])


@pytest.mark.parametrize("seed", range(4))
def test_hysteresis_is_that_of_every_threshold_on_its_own(seed):
    rng = np.random.default_rng(seed)
    strength = rng.random((30, 41)) ** 2 * (rng.random((30, 41)) < 0.45)
    highest = hysteresis(torch.from_numpy(strength)).numpy()
    for threshold in (*np.arange(1, 20) / 20, *rng.choice(strength[strength > 0], 10)):
        np.testing.assert_array_equal(highest >= threshold, kept_at(strength, threshold))
    assert (highest > strength).any() and highest[strength == 0].max() == 0


def test_the_gaussian_equals_scipy():
    picture = torch.rand(3, 21, 26, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ndimage.gaussian_filter(picture.numpy(), (0, 1.3, 1.3), mode="nearest", truncate=4)
    np.testing.assert_allclose(gaussian_blur(picture, 1.3), expected, atol=1e-12)


def test_the_colour_with_the_largest_gradient_counts():
    image = torch.zeros(3, 12, 12)
    image[0, :, :4], image[2, 7:] = 100, 40
    gradient = colour_gradient(image)
    assert gradient[1, 3] == sobel(image[0])[1, 3] > 0
    assert gradient[7, 10] == sobel(image[2])[7, 10] > 0


@pytest.mark.parametrize("edges", [sobel_edges, canny_edges])
def test_a_border_between_colours_of_equal_lightness_is_found_and_noise_is_weaker(edges):
    image = torch.full((3, 40, 40), 100, dtype=torch.uint8)
    image[0, :, :20], image[1, :, 20:] = 160, 160
    noise = torch.randint(0, 12, image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = edges(image + noise)
    assert found.max() == 1 and found.min() == 0
    assert (found[:, 18:22] > 0.5).any(dim=1).all() and found[:, :15].max() < 0.5
    assert edges(torch.full((3, 8, 8), 9, dtype=torch.uint8)).eq(0).all()

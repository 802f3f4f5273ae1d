from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from strategies import batches, grids, normal, seeds
from strategies import windows as patches

from minisam_kernels.reference.patch_embed import patch_embed


@given(seed=seeds, batch=batches, grid=grids, patch=patches)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_is_a_correlation_sampled_every_patch(seed, batch, grid, patch):
    image = normal(seed, batch, 3, grid[0] * patch, grid[1] * patch)
    weight, bias = normal(seed, 2, 3, patch, patch), normal(seed, 2)
    out = patch_embed(image, weight, bias)
    assert out.shape == (batch, *grid, 2)
    for channel in range(2):
        full = scipy.signal.correlate(image[-1], weight[channel], mode="valid", method="direct")[0]
        np.testing.assert_allclose(out[-1, ..., channel], full[::patch, ::patch] + bias[channel], atol=1e-11)


@given(seed=seeds, batch=batches, grid=grids, patch=patches)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_identity_weights_give_back_the_image(seed, batch, grid, patch):
    H, W = grid
    image = normal(seed, batch, 3, H * patch, W * patch)
    width = 3 * patch * patch
    tokens = patch_embed(image, np.eye(width).reshape(width, 3, patch, patch), np.zeros(width))
    restored = tokens.reshape(batch, H, W, 3, patch, patch).transpose(0, 3, 1, 4, 2, 5)
    np.testing.assert_array_equal(restored.reshape(image.shape), image)


@pytest.mark.parametrize("size", [(5, 7), (4, 6), (5, 6)])
def test_what_does_not_fill_a_patch_is_left_out(size):
    image, weight, bias = normal(0, 1, 3, *size), normal(1, 4, 3, 2, 2), normal(2, 4)
    np.testing.assert_allclose(
        patch_embed(image, weight, bias), patch_embed(image[:, :, :4, :6], weight, bias)
    )


def test_keeps_float32():
    image, weight, bias = (
        x.astype(np.float32) for x in (normal(0, 1, 3, 4, 4), normal(1, 5, 3, 2, 2), normal(2, 5))
    )
    assert patch_embed(image, weight, bias).dtype == np.float32

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from strategies import batches, grids, lengths, normal, seeds, value_scales

from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.layer_norm_2d import layer_norm_2d

shapes = {"seed": seeds, "batch": batches, "channels": lengths, "grid": grids, "scale": value_scales}


def draw(seed, batch, channels, grid, scale):
    return (
        normal(seed, batch, channels, *grid, scale=scale),
        normal(seed, channels),
        normal(seed + 1, channels),
    )


@given(**shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_is_layer_norm_pixel_by_pixel(seed, batch, channels, grid, scale):
    x, weight, bias = draw(seed, batch, channels, grid, scale)
    out = layer_norm_2d(x, weight, bias)
    for i in range(grid[0]):
        for j in range(grid[1]):
            np.testing.assert_allclose(
                out[:, :, i, j], layer_norm(x[:, :, i, j], weight, bias, 1e-6), atol=1e-10
            )


@given(**shapes)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_channels_are_standardised(seed, batch, channels, grid, scale):
    x, *_ = draw(seed, batch, channels, grid, scale)
    out = layer_norm_2d(x, np.ones(channels), np.zeros(channels), eps=1e-300)
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-9)
    if channels > 1:
        np.testing.assert_allclose(out.var(axis=1), 1, rtol=1e-6)


def test_by_hand():
    x = np.array([[[[1.0, 0.0]], [[3.0, 0.0]]]])
    out = layer_norm_2d(x, np.array([2.0, 1.0]), np.array([0.0, 5.0]), eps=3.0)
    np.testing.assert_allclose(out, [[[[-1.0, 0.0]], [[5.5, 5.0]]]])


def test_keeps_float32():
    x, weight, bias = (a.astype(np.float32) for a in draw(0, 1, 3, (2, 2), 1.0))
    assert layer_norm_2d(x, weight, bias).dtype == np.float32

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from strategies import batches, lengths, normal, seeds, value_scales

from minisam_kernels.reference.layer_norm import layer_norm


@given(seed=seeds, batch=batches, tokens=lengths, scale=value_scales)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_without_eps_it_is_the_z_score(seed, batch, tokens, scale):
    x, weight, bias = normal(seed, batch, tokens, 6, scale=scale) + 2, normal(seed, 6), normal(seed + 1, 6)
    expected = scipy.stats.zscore(x, axis=-1) * weight + bias
    np.testing.assert_allclose(layer_norm(x, weight, bias, eps=0), expected, rtol=1e-8, atol=1e-9)


@given(seed=seeds, batch=batches, tokens=lengths, scale=value_scales)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_shifting_a_token_changes_nothing(seed, batch, tokens, scale):
    x, weight, bias = normal(seed, batch, tokens, 5, scale=scale), normal(seed, 5), normal(seed + 1, 5)
    shifted = x + normal(seed, batch, tokens, 1, scale=10)
    np.testing.assert_allclose(
        layer_norm(shifted, weight, bias, 1e-5), layer_norm(x, weight, bias, 1e-5), atol=1e-9
    )


def test_eps_is_added_to_the_variance():
    out = layer_norm(np.array([-3.0, 3.0]), np.ones(2), np.zeros(2), eps=16)
    np.testing.assert_allclose(out, [-0.6, 0.6])


@pytest.mark.parametrize("width", [1, 4])
def test_a_constant_token_becomes_the_bias(width):
    bias = normal(0, width)
    np.testing.assert_array_equal(layer_norm(np.full((2, width), 7.0), np.ones(width), bias, 1e-5)[1], bias)


def test_keeps_float32():
    x = normal(0, 3, 4).astype(np.float32)
    assert layer_norm(x, x[0], x[1], 1e-5).dtype == np.float32

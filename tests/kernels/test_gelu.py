from __future__ import annotations

import numpy as np
import scipy.special
import scipy.stats
from hypothesis import given, settings
from strategies import grids, normal, seeds, value_scales

from minisam_kernels.reference.gelu import gelu


@given(seed=seeds, shape=grids, scale=value_scales)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_is_x_times_the_normal_distribution_function(seed, shape, scale):
    x = normal(seed, *shape, scale=scale)
    np.testing.assert_allclose(gelu(x), x * scipy.stats.norm.cdf(x), rtol=1e-9, atol=1e-12)


def test_symmetry_and_limits():
    x = np.linspace(-6, 6, 49)
    np.testing.assert_allclose(gelu(x) - gelu(-x), x, atol=1e-12)
    np.testing.assert_allclose(gelu(np.array([-40.0, 0.0, 40.0])), [0, 0, 40])


def test_keeps_float32():
    assert gelu(np.ones(3, np.float32)).dtype == np.float32

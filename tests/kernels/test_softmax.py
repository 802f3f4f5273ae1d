from __future__ import annotations

import numpy as np
import scipy.special
from hypothesis import given, settings
from strategies import batches, lengths, normal, seeds, value_scales

from minisam_kernels.reference.softmax import softmax

scores = {"seed": seeds, "rows": batches, "length": lengths, "scale": value_scales}


@given(**scores)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_is_scipys(seed, rows, length, scale):
    x = normal(seed, rows, 2, length, scale=100 * scale)
    np.testing.assert_allclose(softmax(x), scipy.special.softmax(x, axis=-1), rtol=1e-12, atol=1e-300)


@given(**scores)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_rows_sum_to_one_and_keep_their_order(seed, rows, length, scale):
    x = normal(seed, rows, length, scale=scale)
    weights = softmax(x)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_array_equal(np.argsort(weights, axis=-1), np.argsort(x, axis=-1))


@given(**scores)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_constant_added_to_a_row_changes_nothing(seed, rows, length, scale):
    x = normal(seed, rows, length, scale=scale)
    np.testing.assert_allclose(softmax(x + normal(seed, rows, 1, scale=50)), softmax(x), rtol=1e-10)


def test_large_and_infinite_scores():
    x = np.array([[1e4, 1e4, -1e4], [0.0, -np.inf, 0.0]], np.float32)
    weights = softmax(x)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])

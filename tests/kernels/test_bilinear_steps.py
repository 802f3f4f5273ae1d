from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam_kernels.reference.bilinear_steps import bilinear_steps, step_matrix

axes = st.tuples(*[st.integers(min_value=1, max_value=40)] * 2, st.integers(1, 90), st.floats(0.01, 1))


def as_matrix(first, weights, inputs):
    matrix = np.zeros((len(first), inputs))
    np.put_along_axis(matrix, first[:, None] + np.arange(weights.shape[1]), weights, axis=1)
    return matrix


@given(axis=axes)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_it_is_what_interpolating_twice_does(axis):
    inputs, longer, length, share = axis
    padded = inputs + longer
    kept = max(1, int(padded * share))
    units = torch.eye(inputs, dtype=torch.float64)[:, None, None]
    square = F.interpolate(units, (1, padded), mode="bilinear")[..., :kept]
    expected = F.interpolate(square, (1, length), mode="bilinear").reshape(inputs, length).T.numpy()
    first, weights = bilinear_steps(inputs, padded, kept, length)
    assert first.dtype == np.int32 and weights.shape[1] <= min(4, inputs)
    assert first.min() >= 0 and first.max() + weights.shape[1] <= inputs
    np.testing.assert_allclose(as_matrix(first, weights, inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 5), (4, 4), (3, 12), (16, 9)])
def test_every_output_is_a_mean_of_two_neighbours(inputs, outputs):
    matrix = step_matrix(inputs, outputs)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix.min() >= 0 and (matrix > 0).sum(axis=1).max() <= 2
    assert inputs != outputs or np.array_equal(matrix, np.eye(inputs))

"""The bands read off F.interpolate are those of the definition, but for the rounding of positions in float32."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.predict.bilinear_bands import axis_bands
from minisam_kernels.reference.bilinear_steps import bilinear_steps


@pytest.mark.parametrize(
    "axis",
    [
        (16, 64, 64, 64),
        (16, 64, 48, 37),
        (256, 1024, 683, 1365),
        (64, 256, 256, 100),
        (3, 12, 1, 5),
        (1, 4, 4, 9),
    ],
)
def test_the_bands_are_the_references(axis):
    first, weights = bilinear_steps(*axis)
    bands = axis_bands(*axis)
    wanted, found = np.zeros((axis[3], axis[0])), np.zeros((axis[3], axis[0]))
    np.put_along_axis(wanted, first[:, None] + np.arange(weights.shape[1]), weights, axis=1)
    np.put_along_axis(found, bands.inputs, bands.weights, axis=1)
    assert bands.weights.shape[1] <= 4
    np.testing.assert_array_equal(np.diff(bands.inputs, axis=1), 1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2 * axis[1] * 2.0**-23)

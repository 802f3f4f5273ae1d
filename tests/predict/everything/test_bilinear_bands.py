"""The bands read off F.interpolate are those of the definition, but for the rounding of positions in float32."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.predict.everything.bilinear_bands import BLOCK, axis_bands
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


@pytest.mark.parametrize("axis", [(16, 64, 48, 37), (64, 256, 256, 100), (3, 12, 1, 5)])
def test_blocks_of_outputs_are_those_rows_of_the_product(axis):
    bands, low, length = axis_bands(*axis), axis[0], axis[3]
    matrix = np.zeros((length, low))
    np.put_along_axis(matrix, bands.inputs, bands.weights, axis=1)
    values = np.random.default_rng(0).standard_normal((low, 3)).astype(np.float32)
    blocks = -(-length // BLOCK)
    for start in range(blocks):
        for stop in range(start + 1, blocks + 1):
            found = bands.apply(values, slice(start, stop))
            np.testing.assert_allclose(found, (matrix @ values)[start * BLOCK : stop * BLOCK], atol=1e-5)


@pytest.mark.parametrize("axis", [(16, 64, 48, 37), (64, 256, 256, 100), (16, 64, 64, 200)])
def test_every_output_that_an_input_has_a_part_in_is_in_a_block_that_it_reaches(axis):
    bands, low, length = axis_bands(*axis), axis[0], axis[3]
    matrix = np.zeros((length, low))
    np.put_along_axis(matrix, bands.inputs, bands.weights, axis=1)
    for lowest in range(low):
        for highest in range(lowest, low):
            outputs = np.flatnonzero(matrix[:, lowest : highest + 1].any(axis=1))
            reached = bands.blocks_reached(lowest, highest)
            if len(outputs):
                assert reached.start <= outputs[0] // BLOCK and outputs[-1] // BLOCK < reached.stop
                # An input's first and last output may weigh nothing: a block more is allowed, on either side.
                assert outputs[0] // BLOCK - reached.start <= 1 and reached.stop - outputs[-1] // BLOCK <= 2

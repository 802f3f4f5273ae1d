from __future__ import annotations

import pytest
import torch
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, grids, layouts, lengths, normal, seeds

from minisam.model.fourier_encoding import FourierEncoding
from minisam_kernels.reference.fourier_encoding import fourier_encoding, fourier_grid

GAUSSIAN = "positional_encoding_gaussian_matrix"


class AsForward(torch.nn.Module):
    """Another method of the encoding, `encode` or `forward_with_coords`, as the forward of a module."""

    def __init__(self, frequencies, method, *args):
        super().__init__()
        self.encoding, self.method, self.args = FourierEncoding(frequencies), method, args

    def forward(self, coords):
        return getattr(self.encoding, self.method)(coords, *self.args)


def draw(seed, batch, points, frequencies, method, *args):
    module = AsForward(frequencies, method, *args)
    arrays = {"coords": normal(seed, batch, points, 2), **random_state(module, seed)}
    return as_function(module, "coords"), arrays


def encode(coords, **state):
    return fourier_encoding(coords, state[f"encoding.{GAUSSIAN}"])


@given(seed=seeds, batch=batches, points=lengths, frequencies=lengths, layout=layouts)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values_of_positions(seed, batch, points, frequencies, layout):
    function, arrays = draw(seed, batch, points, frequencies, "encode")
    assert_same_values(function, encode, arrays, layout)


@given(seed=seeds, batch=batches, points=lengths, image_size=grids, layout=layouts)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values_of_pixels(seed, batch, points, image_size, layout):
    function, arrays = draw(seed, batch, points, 4, "forward_with_coords", image_size)
    assert_same_values(
        function, lambda coords, **state: encode(coords / image_size[::-1], **state), arrays, layout
    )


@given(seed=seeds, grid=grids, frequencies=lengths)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values_of_the_grid(seed, grid, frequencies):
    module = FourierEncoding(frequencies)
    arrays = random_state(module, seed)
    assert_same_values(
        lambda **state: torch.func.functional_call(module, state, (grid,)),
        lambda **state: fourier_grid(*grid, state[GAUSSIAN]),
        arrays,
    )


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed):
    function, arrays = draw(seed, 2, 3, 4, "encode")
    assert_same_gradients(function, encode, arrays, seed)
    function, arrays = draw(seed, 2, 3, 4, "forward_with_coords", (3, 7))
    assert_same_gradients(function, lambda coords, **state: encode(coords / (7, 3), **state), arrays, seed)


def test_the_scale_widens_the_matrix_and_defaults_to_one():
    matrices = []
    for scale in (None, 0.0, 3.0):
        torch.manual_seed(0)
        matrices.append(FourierEncoding(4, scale).state_dict()[GAUSSIAN])
    torch.testing.assert_close(matrices[1], matrices[0])
    torch.testing.assert_close(matrices[2], 3 * matrices[0])

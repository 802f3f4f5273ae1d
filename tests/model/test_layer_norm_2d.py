from __future__ import annotations

import pytest
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, grids, layouts, lengths, normal, seeds

from minisam.model.layer_norm_2d import LayerNorm2d
from minisam_kernels.reference.layer_norm_2d import layer_norm_2d


def draw(seed, batch, channels, grid, **options):
    module = LayerNorm2d(channels, **options)
    arrays = {"x": normal(seed, batch, channels, *grid), **random_state(module, seed)}
    return as_function(module, "x"), lambda x, weight, bias: layer_norm_2d(x, weight, bias, **options), arrays


@given(seed=seeds, batch=batches, channels=lengths, grid=grids, layout=layouts)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values(seed, batch, channels, grid, layout):
    assert_same_values(*draw(seed, batch, channels, grid), layout)


@pytest.mark.parametrize("eps", [1e-6, 1e-3, 1.0])
def test_eps(eps):
    assert_same_values(*draw(0, 2, 3, (2, 5), eps=eps))


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed):
    assert_same_gradients(*draw(seed, 2, 6, (3, 5)), seed)

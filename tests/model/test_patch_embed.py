from __future__ import annotations

import pytest
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, grids, layouts, normal, seeds
from strategies import windows as patches

from minisam.model.patch_embed import PatchEmbed
from minisam_kernels.reference.patch_embed import patch_embed


def draw(seed, batch, height, width, patch):
    module = PatchEmbed(kernel_size=(patch, patch), stride=(patch, patch), embed_dim=5)
    return as_function(module, "x"), {
        "x": normal(seed, batch, 3, height, width),
        **random_state(module, seed),
    }


def reference(x, **state):
    return patch_embed(x, state["proj.weight"], state["proj.bias"])


@given(seed=seeds, batch=batches, grid=grids, patch=patches, layout=layouts)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_values(seed, batch, grid, patch, layout):
    function, arrays = draw(seed, batch, grid[0] * patch, grid[1] * patch, patch)
    assert_same_values(function, reference, arrays, layout)


def test_what_does_not_fill_a_patch_is_left_out():
    function, arrays = draw(0, 1, 11, 10, 4)
    assert_same_values(function, reference, arrays)


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed):
    function, arrays = draw(seed, 2, 6, 10, 2)
    assert_same_gradients(function, reference, arrays, seed)

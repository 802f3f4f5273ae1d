from __future__ import annotations

import numpy as np
import pytest
import torch
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, grids, head_dims, heads, layouts, normal, seeds, sides

from minisam.model import rel_pos_attention as module_file
from minisam.model.rel_pos_attention import RelPosAttention
from minisam_kernels.reference import rel_pos_attention as reference_file
from minisam_kernels.reference.attention import attention

shapes = {"seed": seeds, "batch": batches, "num_heads": heads, "dim": head_dims, "grid": grids}


def draw(seed, batch, num_heads, dim, grid, **options):
    """The module, its definition in terms of the references, and values for its input and its parameters."""
    module = RelPosAttention(num_heads * dim, num_heads, **{"input_size": grid, **options})
    arrays = {"x": normal(seed, batch, *grid, num_heads * dim), **random_state(module, seed)}

    def reference(x, **state):
        qkv = x @ state["qkv.weight"].T + state.get("qkv.bias", 0)
        q, k, v = qkv.reshape(batch, -1, 3, num_heads, dim).transpose(2, 0, 3, 1, 4)
        if "rel_pos_h" in state:
            rel = reference_file.decomposed_rel_pos(q, state["rel_pos_h"], state["rel_pos_w"], grid)
            heads_bnld = reference_file.rel_pos_attention(q, k, v, *rel, dim**-0.5)
        else:
            heads_bnld = attention(q, k, v, dim**-0.5)
        merged = heads_bnld.swapaxes(1, 2).reshape(batch, *grid, num_heads * dim)
        return merged @ state["proj.weight"].T + state["proj.bias"]

    return as_function(module, "x"), reference, arrays


def draw_heads(seed, batch, num_heads, dim, grid):
    """Arguments of rel_pos_attention itself."""
    H, W = grid
    arrays = {name: normal(seed + i, batch, num_heads, H * W, dim) for i, name in enumerate("qkv")}
    arrays["rel_h"] = normal(seed + 3, batch, num_heads, H * W, H)
    arrays["rel_w"] = normal(seed + 4, batch, num_heads, H * W, W)
    return arrays


def functions(scale=0.4):
    return (
        lambda **tensors: module_file.rel_pos_attention(**tensors, scale=scale),
        lambda **arrays: reference_file.rel_pos_attention(**arrays, scale=scale),
    )


@given(layout=layouts, **shapes)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values(seed, batch, num_heads, dim, grid, layout):
    assert_same_values(*draw(seed, batch, num_heads, dim, grid), layout)


@given(trained=grids, **shapes)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_values_on_a_grid_of_another_size(seed, batch, num_heads, dim, grid, trained):
    assert_same_values(*draw(seed, batch, num_heads, dim, grid, input_size=trained))


@pytest.mark.parametrize("options", [{"use_rel_pos": False}, {"qkv_bias": False}])
def test_values_without(options):
    assert_same_values(*draw(0, 2, 3, 4, (3, 5), **options))


@given(layout=layouts, **shapes)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values_of_the_function(seed, batch, num_heads, dim, grid, layout):
    assert_same_values(*functions(), draw_heads(seed, batch, num_heads, dim, grid), layout)


@given(seed=seeds, trained=sides, size=sides)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_values_of_the_table(seed, trained, size):
    assert_same_values(
        lambda table: module_file.relative_position_table(table, size),
        lambda table: reference_file.relative_position_table(table, size, size),
        {"table": normal(seed, 2 * trained - 1, 3)},
    )


@pytest.mark.parametrize("grid", [(3, 5), (4, 1), (2, 2)])
def test_gradients_of_the_function(grid):
    assert_same_gradients(*functions(), draw_heads(2, 2, 2, 3, grid), seed=2)


@pytest.mark.parametrize("trained", [(3, 4), (2, 5), (5, 1)])
def test_gradients(trained):
    assert_same_gradients(*draw(3, 2, 2, 3, (3, 4), input_size=trained), seed=3)


def test_the_scale_is_for_the_scores_and_not_for_the_positions():
    arrays = draw_heads(0, 1, 1, 2, (2, 3))
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    by_hand = np.exp(arrays["rel_h"][..., :, None] + arrays["rel_w"][..., None, :]).reshape(1, 1, 6, 6)
    expected = by_hand / by_hand.sum(axis=-1, keepdims=True) @ arrays["v"]
    np.testing.assert_allclose(module_file.rel_pos_attention(**tensors, scale=0.0), expected, rtol=1e-10)


@pytest.mark.parametrize("grid", [(3, 5), (5, 3), (4, 4), (1, 2)])
def test_each_table_has_the_rows_of_its_axis(grid):
    """Two grids of one size give rows at all offsets from 1 - size to size - 1."""
    module = RelPosAttention(12, 2, input_size=grid)
    assert module.rel_pos_h.shape == (2 * grid[0] - 1, 6) and module.rel_pos_w.shape == (2 * grid[1] - 1, 6)

from __future__ import annotations

import numpy as np
import pytest
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, grids, head_dims, heads, layouts, normal, seeds, windows

from minisam.model import window_attention as module_file
from minisam.model.window_attention import WindowAttention
from minisam_kernels.reference import window_attention as reference_file

shapes = {
    "seed": seeds,
    "batch": batches,
    "num_heads": heads,
    "dim": head_dims,
    "grid": grids,
    "window": windows,
}


def draw(seed, batch, num_heads, dim, grid, window, **options):
    """The module, its definition in terms of the reference, and values for its input and its parameters."""
    channels = num_heads * dim
    module = WindowAttention(channels, num_heads, window_size=window, **options)
    arrays = {"x": normal(seed, batch, *grid, channels), **random_state(module, seed)}
    no_positions = np.zeros((2 * window - 1, dim))

    def reference(x, **state):
        bias = state.get("qkv.bias", np.zeros(3 * channels))
        tables = state.get("rel_pos_h", no_positions), state.get("rel_pos_w", no_positions)
        qkv = x @ state["qkv.weight"].T + bias
        out = reference_file.window_attention(qkv, bias, *tables, num_heads, window)
        return out @ state["proj.weight"].T + state["proj.bias"]

    return as_function(module, "x"), reference, arrays


def draw_projected(seed, batch, num_heads, dim, grid, window):
    """Arguments of window_attention itself."""
    channels = num_heads * dim
    return {
        "qkv": normal(seed, batch, *grid, 3 * channels),
        "qkv_bias": normal(seed + 1, 3 * channels),
        "rel_pos_h": normal(seed + 2, 2 * window - 1, dim, scale=0.5),
        "rel_pos_w": normal(seed + 3, 2 * window - 1, dim, scale=0.5),
    }


def functions(num_heads, window):
    return (
        lambda **tensors: module_file.window_attention(**tensors, num_heads=num_heads, window_size=window),
        lambda **arrays: reference_file.window_attention(**arrays, num_heads=num_heads, window_size=window),
    )


@given(layout=layouts, **shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_values(seed, batch, num_heads, dim, grid, window, layout):
    assert_same_values(*draw(seed, batch, num_heads, dim, grid, window), layout)


@pytest.mark.parametrize("options", [{"use_rel_pos": False}, {"qkv_bias": False}])
def test_values_without(options):
    assert_same_values(*draw(0, 2, 3, 4, (3, 5), 2, **options))


@given(layout=layouts, **shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_values_of_the_function(seed, batch, num_heads, dim, grid, window, layout):
    arrays = draw_projected(seed, batch, num_heads, dim, grid, window)
    assert_same_values(*functions(num_heads, window), arrays, layout)


@pytest.mark.parametrize(("grid", "window"), [((4, 4), 2), ((3, 5), 2), ((2, 3), 4), ((5, 1), 3)])
def test_gradients_of_the_function(grid, window):
    arrays = draw_projected(1, 2, 2, 3, grid, window)
    assert_same_gradients(*functions(2, window), arrays, seed=1)


@pytest.mark.parametrize("grid", [(3, 5), (4, 2)])
def test_gradients(grid):
    assert_same_gradients(*draw(2, 2, 2, 3, grid, 2), seed=2)

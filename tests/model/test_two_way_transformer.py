from __future__ import annotations

import pytest
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, grids, heads, layouts, normal, seeds, sides

from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer
from minisam_kernels.reference.two_way_transformer import two_way_block, two_way_transformer


def draw(seed, batch, tokens, grid, num_heads=2, depth=2, **options):
    width = 4 * num_heads
    module = TwoWayTransformer(depth, width, num_heads, mlp_dim=10, **options).eval()
    inputs = {
        "image": normal(seed, batch, width, *grid),
        "image_pe": normal(seed + 1, batch, width, *grid),
        "tokens": normal(seed + 2, batch, tokens, width),
    }

    def reference(image, image_pe, tokens, **state):
        return two_way_transformer(image, image_pe, tokens, state, num_heads, depth)

    return as_function(module, *inputs), reference, inputs | random_state(module, seed)


def draw_block(seed, batch, tokens, positions, first, rate=2):
    module = TwoWayAttentionBlock(8, 2, 10, attention_downsample_rate=rate, skip_first_layer_pe=first)
    sizes = {"queries": tokens, "keys": positions, "query_pe": tokens, "key_pe": positions}
    inputs = {name: normal(seed + i, batch, size, 8) for i, (name, size) in enumerate(sizes.items())}

    def reference(queries, keys, query_pe, key_pe, **state):
        return two_way_block(queries, keys, query_pe, key_pe, state, 2, first)

    return as_function(module, *inputs), reference, inputs | random_state(module, seed)


@given(
    seed=seeds,
    batch=batches,
    tokens=sides,
    grid=grids,
    num_heads=heads,
    depth=st.integers(0, 3),
    layout=layouts,
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values(seed, batch, tokens, grid, num_heads, depth, layout):
    assert_same_values(*draw(seed, batch, tokens, grid, num_heads, depth), layout)


@given(
    seed=seeds,
    batch=batches,
    tokens=sides,
    positions=sides,
    first=st.booleans(),
    rate=st.sampled_from([1, 2, 4]),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values_of_one_block(seed, batch, tokens, positions, first, rate):
    assert_same_values(*draw_block(seed, batch, tokens, positions, first, rate))


def test_dropout_belongs_to_training_alone():
    assert_same_values(*draw(0, 2, 3, (2, 3), dropout=0.5))


@pytest.mark.parametrize("grid", [(2, 3), (1, 5)])
def test_gradients(grid):
    assert_same_gradients(*draw(1, 2, 3, grid), seed=1)


@pytest.mark.parametrize("first", [True, False])
def test_gradients_of_one_block(first):
    assert_same_gradients(*draw_block(2, 2, 3, 5, first), seed=2)

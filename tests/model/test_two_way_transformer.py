from __future__ import annotations

import pytest
import torch
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, grids, heads, layouts, normal, seeds, sides
from torch import nn

from minisam.model.attention import Attention
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


class Nothing(nn.Module):
    """A dropout of everything."""

    def forward(self, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize("first", [True, False])
def test_every_residual_of_a_block_goes_through_the_dropout(first):
    """With all of them dropped, what is left are the norms of the queries and of the keys."""
    block = TwoWayAttentionBlock(8, 2, 10, skip_first_layer_pe=first)
    for parameter in block.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    block.dropout = Nothing()  # type: ignore
    queries, keys, query_pe, key_pe = (torch.randn(2, n, 8) for n in (3, 5, 3, 5))
    left, image = block(queries, keys, query_pe, key_pe)
    start = torch.zeros_like(queries) if first else queries
    torch.testing.assert_close(left, block.norm3(block.norm2(block.norm1(start))))
    torch.testing.assert_close(image, block.norm4(keys))


def test_the_last_attention_goes_through_the_dropout():
    transformer = TwoWayTransformer(0, 8, 2, 10)
    transformer.dropout = Nothing()  # type: ignore
    image, tokens = torch.randn(2, 8, 2, 3), torch.randn(2, 3, 8)
    left, keys = transformer(image, torch.randn(2, 8, 2, 3), tokens)
    torch.testing.assert_close(left, transformer.norm_final_attn(tokens))
    torch.testing.assert_close(keys, image.flatten(2).mT)


def test_the_share_that_is_dropped_is_the_one_asked_for():
    """Of the sums by nn.Dropout, of the weights by every attention; and there is none by default."""
    for share, options in ((0.25, {"dropout": 0.25}), (0.0, {})):
        transformer = TwoWayTransformer(2, 8, 2, 10, **options)
        assert {m.p for m in transformer.modules() if isinstance(m, nn.Dropout)} == {share}
        assert [m.dropout for m in transformer.modules() if isinstance(m, Attention)] == [share] * 7
        assert [block.skip_first_layer_pe for block in transformer.layers] == [True, False]

from __future__ import annotations

import pytest
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, head_dims, heads, layouts, lengths, normal, seeds

from minisam.model.attention import Attention
from minisam_kernels.reference.attention import multi_head_attention

shapes = {
    "seed": seeds,
    "batch": batches,
    "num_heads": heads,
    "dim": head_dims,
    "queries": lengths,
    "keys": lengths,
}


def draw(seed, batch, num_heads, dim, queries, keys, rate=1, **options):
    width = rate * num_heads * dim
    module = Attention(width, num_heads, downsample_rate=rate, **options).eval()
    inputs = {
        "q": normal(seed, batch, queries, width),
        "k": normal(seed + 1, batch, keys, width),
        "v": normal(seed + 2, batch, keys, width),
    }

    def reference(q, k, v, **state):
        return multi_head_attention(q, k, v, state, num_heads)

    return as_function(module, "q", "k", "v"), reference, inputs | random_state(module, seed)


@pytest.mark.parametrize("rate", [1, 2])
@given(layout=layouts, **shapes)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_values(rate, seed, batch, num_heads, dim, queries, keys, layout):
    assert_same_values(*draw(seed, batch, num_heads, dim, queries, keys, rate), layout)


def test_dropout_belongs_to_training_alone():
    assert_same_values(*draw(0, 2, 2, 4, 3, 5, dropout=0.5))


@pytest.mark.parametrize(("queries", "keys", "rate"), [(3, 11, 2), (11, 3, 2), (5, 5, 1)])
def test_gradients(queries, keys, rate):
    assert_same_gradients(*draw(7, 2, 2, 3, queries, keys, rate), seed=7)

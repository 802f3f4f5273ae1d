from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, head_dims, heads, lengths, normal, seeds, value_scales

from minisam_kernels.reference import absorbed_cross_attention as file
from minisam_kernels.reference.absorbed_cross_attention import absorbed_cross_attention
from minisam_kernels.reference.attention import multi_head_attention


def draw_weights(seed, width, inner, scale=1.0, prefix=""):
    weights = {}
    for i, name in enumerate(("q_proj", "k_proj", "v_proj", "out_proj")):
        rows, columns = (width, inner) if name == "out_proj" else (inner, width)
        weights[f"{prefix}{name}.weight"] = normal(seed + i, rows, columns, scale=scale * columns**-0.5)
        weights[f"{prefix}{name}.bias"] = normal(seed + i, rows, scale=scale)
    return weights


def draw(seed, batch, queries, keys, width):
    return (
        normal(seed, batch, queries, width),
        normal(seed + 1, batch, keys, width),
        normal(seed + 2, batch, keys, width),
    )


@given(
    seed=seeds,
    batch=batches,
    num_heads=heads,
    dim=head_dims,
    queries=lengths,
    keys=lengths,
    rate=st.sampled_from([1, 2]),
    scale=value_scales,
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_it_is_multi_head_attention(seed, batch, num_heads, dim, queries, keys, rate, scale):
    width = rate * num_heads * dim
    inputs = draw(seed, batch, queries, keys, width)
    weights = draw_weights(seed, width, num_heads * dim, scale, prefix="cross.")
    expected = multi_head_attention(*inputs, weights, num_heads, "cross.")
    got = absorbed_cross_attention(
        *inputs, weights | {"other.q_proj.weight": np.zeros(1)}, num_heads, "cross."
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(("queries", "keys"), [(7, 40), (40, 7), (7, 7), (1, 40), (40, 1)])
@pytest.mark.parametrize("way", [file.few_ask_many, file.many_ask_few])
def test_both_ways_are_right_whichever_is_shorter(way, queries, keys):
    inputs, weights = draw(3, 2, queries, keys, 12), draw_weights(3, 12, 6)
    expected = multi_head_attention(*inputs, weights, 3)
    np.testing.assert_allclose(way(*inputs, weights, 3), expected, rtol=1e-11, atol=1e-12)


def test_the_bias_of_the_keys_does_not_matter_that_of_the_queries_does():
    weights, inputs = draw_weights(5, 8, 4), draw(5, 1, 3, 9, 8)
    before = absorbed_cross_attention(*inputs, weights, 2)
    moved = absorbed_cross_attention(*inputs, weights | {"k_proj.bias": normal(6, 4)}, 2)
    np.testing.assert_array_equal(moved, before)
    moved = absorbed_cross_attention(*inputs, weights | {"q_proj.bias": normal(6, 4)}, 2)
    assert not np.allclose(moved, before)


def test_the_shorter_side_absorbs(monkeypatch):
    called = []
    for name in ("few_ask_many", "many_ask_few"):
        monkeypatch.setattr(file, name, lambda q, *_, name=name: called.append(name) or q)
    weights = draw_weights(0, 8, 4)
    absorbed_cross_attention(*draw(0, 1, 3, 9, 8), weights, 2)
    absorbed_cross_attention(*draw(0, 1, 9, 3, 8), weights, 2)
    assert called == ["few_ask_many", "many_ask_few"]

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from strategies import batches, head_dims, heads, lengths, normal, seeds

from minisam_kernels.reference.attention import attention, multi_head_attention

shapes = {"seed": seeds, "batch": batches, "queries": lengths, "keys": lengths, "dim": head_dims}


def draw(seed, batch, queries, keys, dim):
    q, k, v = (normal(seed + i, batch, n, dim) for i, n in enumerate((queries, keys, keys)))
    return q, k, v


def one_query(q, k, v, scale):
    """Attention of one query [D], in the words of the equation."""
    weights = [math.exp(scale * sum(q[d] * key[d] for d in range(len(q)))) for key in k]
    return sum(weight * value for weight, value in zip(weights, v, strict=True)) / sum(weights)


@given(**shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_is_the_equation_query_by_query(seed, batch, queries, keys, dim):
    q, k, v = draw(seed, batch, queries, keys, dim)
    out = attention(q, k, v, dim**-0.5)
    for b in range(batch):
        for query in (0, queries - 1):
            expected = one_query(q[b, query], k[b], v[b], dim**-0.5)
            np.testing.assert_allclose(out[b, query], expected, rtol=1e-10, atol=1e-12)


@given(**shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_order_of_keys_is_irrelevant_and_order_of_queries_is_kept(seed, batch, queries, keys, dim):
    q, k, v = draw(seed, batch, queries, keys, dim)
    rng = np.random.default_rng(seed)
    key_order, query_order = rng.permutation(keys), rng.permutation(queries)
    out = attention(q, k, v, 0.7)
    np.testing.assert_allclose(
        attention(q, k[:, key_order], v[:, key_order], 0.7), out, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(attention(q[:, query_order], k, v, 0.7), out[:, query_order], rtol=1e-12)


def test_without_scale_it_averages_and_with_a_large_one_it_picks():
    q, k, v = np.eye(4), np.eye(4), normal(0, 4, 3)
    np.testing.assert_allclose(attention(q, k, v, 0.0), np.broadcast_to(v.mean(axis=0), (4, 3)), rtol=1e-12)
    np.testing.assert_allclose(attention(q, k, v, 1e3), v, rtol=1e-12)


def test_keeps_float32():
    q, k, v = (normal(i, 2, 5, 3).astype(np.float32) for i in range(3))
    assert attention(q, k, v, 0.5).dtype == np.float32


@given(seed=seeds, batch=batches, queries=lengths, num_heads=heads, dim=head_dims)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_multi_head_is_one_attention_for_each_slice_of_channels(seed, batch, queries, num_heads, dim):
    width, inner, keys = 2 * num_heads * dim, num_heads * dim, 4
    weights = {}
    for i, name in enumerate(("q_proj", "k_proj", "v_proj")):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = (
            normal(seed + i, inner, width),
            normal(seed + i, inner),
        )
    weights["out_proj.weight"], weights["out_proj.bias"] = normal(seed, width, inner), normal(seed, width)
    q, k, v = draw(seed, batch, queries, keys, width)

    expected = np.broadcast_to(weights["out_proj.bias"], q.shape)
    for head in range(num_heads):
        own = slice(head * dim, (head + 1) * dim)
        projected = [
            x @ weights[f"{name}.weight"][own].T + weights[f"{name}.bias"][own]
            for name, x in (("q_proj", q), ("k_proj", k), ("v_proj", v))
        ]
        expected = expected + attention(*projected, dim**-0.5) @ weights["out_proj.weight"][:, own].T
    out = multi_head_attention(q, k, v, weights, num_heads)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())

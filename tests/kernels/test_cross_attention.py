from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches, head_dims, heads, lengths, normal, seeds

from minisam_kernels.reference.cross_attention import cross_attention


@given(seed=seeds, batch=batches, num_heads=heads, queries=lengths, keys=lengths, dim=head_dims)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_keys_may_be_worked_on_in_two_halves(seed, batch, num_heads, queries, keys, dim):
    """What a kernel that splits the keys relies on: partial results join by their log-sum-exp."""
    q = normal(seed, batch, num_heads, queries, dim)
    k = normal(seed + 1, batch, num_heads, keys + 1, dim)
    v = normal(seed + 2, batch, num_heads, keys + 1, dim)
    cut = 1 + seed % keys
    halves = slice(0, cut), slice(cut, None)
    partial = [cross_attention(q, k[:, :, half], v[:, :, half], 0.4) for half in halves]
    mass = [np.exp(0.4 * q @ k[:, :, half].swapaxes(2, 3)).sum(axis=-1, keepdims=True) for half in halves]
    joined = (partial[0] * mass[0] + partial[1] * mass[1]) / (mass[0] + mass[1])
    np.testing.assert_allclose(cross_attention(q, k, v, 0.4), joined, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("queries", "keys"), [(1, 257), (257, 1), (7, 64), (64, 7)])
def test_batches_and_heads_do_not_mix(queries, keys):
    q, k, v = normal(0, 2, 3, queries, 4), normal(1, 2, 3, keys, 4), normal(2, 2, 3, keys, 4)
    out = cross_attention(q, k, v, 0.5)
    assert out.shape == (2, 3, queries, 4)
    for b in range(2):
        for n in range(3):
            alone = cross_attention(*(x[b : b + 1, n : n + 1] for x in (q, k, v)), 0.5)
            np.testing.assert_allclose(out[b, n], alone[0, 0], rtol=1e-10, atol=1e-12)


def test_one_key_gives_its_value_to_every_query():
    v = normal(2, 1, 2, 1, 4)
    out = cross_attention(normal(0, 1, 2, 9, 4), normal(1, 1, 2, 1, 4), v, 0.5)
    np.testing.assert_allclose(out, np.broadcast_to(v, out.shape), rtol=1e-12)

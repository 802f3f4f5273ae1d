from __future__ import annotations

import numpy as np
import pytest
import scipy.interpolate
from hypothesis import given, settings
from strategies import batches, grids, head_dims, heads, normal, seeds, sides, value_scales

from minisam_kernels.reference.attention import attention
from minisam_kernels.reference.rel_pos_attention import (
    decomposed_rel_pos,
    rel_pos_attention,
    relative_position_table,
)

shapes = {"seed": seeds, "batch": batches, "num_heads": heads, "grid": grids, "dim": head_dims}


def draw(seed, batch, num_heads, grid, dim, scale=1.0):
    H, W = grid
    q, k, v = (normal(seed + i, batch, num_heads, H * W, dim, scale=scale) for i in range(3))
    rel_h = normal(seed + 3, batch, num_heads, H * W, H, scale=scale)
    rel_w = normal(seed + 4, batch, num_heads, H * W, W, scale=scale)
    return q, k, v, rel_h, rel_w


def one_query(q, k, v, rel_h, rel_w, scale):
    """Attention of one query [D] with its bias rel_h [H], rel_w [W], key by key."""
    W = len(rel_w)
    bias = np.array([rel_h[key // W] + rel_w[key % W] for key in range(len(k))])
    weights = np.exp(scale * k @ q + bias)
    return weights @ v / weights.sum()


@given(scale=value_scales, **shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_is_the_equation_key_by_key(seed, batch, num_heads, grid, dim, scale):
    q, k, v, rel_h, rel_w = draw(seed, batch, num_heads, grid, dim, scale)
    out = rel_pos_attention(q, k, v, rel_h, rel_w, 0.6)
    b, n, query = seed % batch, seed % num_heads, seed % q.shape[2]
    own = (b, n, query)
    expected = one_query(q[own], k[b, n], v[b, n], rel_h[own], rel_w[own], 0.6)
    np.testing.assert_allclose(out[own], expected, rtol=1e-9, atol=1e-12)


@given(**shapes)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_without_bias_it_is_plain_attention(seed, batch, num_heads, grid, dim):
    q, k, v, rel_h, rel_w = draw(seed, batch, num_heads, grid, dim)
    out = rel_pos_attention(q, k, v, np.zeros_like(rel_h), np.zeros_like(rel_w), dim**-0.5)
    np.testing.assert_allclose(out, attention(q, k, v, dim**-0.5), rtol=1e-11, atol=1e-13)


@given(**shapes)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_constant_for_each_query_changes_nothing(seed, batch, num_heads, grid, dim):
    q, k, v, rel_h, rel_w = draw(seed, batch, num_heads, grid, dim)
    constant = normal(seed + 5, *q.shape[:3], 1, scale=10)
    out = rel_pos_attention(q, k, v, rel_h, rel_w, 0.6)
    np.testing.assert_allclose(
        rel_pos_attention(q, k, v, rel_h + constant, rel_w, 0.6), out, rtol=1e-9, atol=1e-11
    )
    np.testing.assert_allclose(
        rel_pos_attention(q, k, v, rel_h, rel_w - constant, 0.6), out, rtol=1e-9, atol=1e-11
    )


@given(**shapes)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_transposing_the_grid_swaps_the_two_tables(seed, batch, num_heads, grid, dim):
    H, W = grid
    q, k, v, *_ = draw(seed, batch, num_heads, grid, dim)
    table_h, table_w = normal(seed + 3, 2 * H - 1, dim), normal(seed + 4, 2 * W - 1, dim)

    def attend(q, k, v, table_h, table_w, grid):
        return rel_pos_attention(q, k, v, *decomposed_rel_pos(q, table_h, table_w, grid), 0.6)

    def transpose(x):
        return x.reshape(batch, num_heads, H, W, dim).swapaxes(2, 3).reshape(batch, num_heads, H * W, dim)

    out = attend(q, k, v, table_h, table_w, (H, W))
    transposed = attend(transpose(q), transpose(k), transpose(v), table_w, table_h, (W, H))
    np.testing.assert_allclose(transposed, transpose(out), rtol=1e-9, atol=1e-12)


@given(seed=seeds, grid=grids, dim=head_dims)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_decomposed_rel_pos_is_q_dot_the_row_of_the_offset(seed, grid, dim):
    H, W = grid
    q, table_h, table_w = (
        normal(seed, 1, 2, H * W, dim),
        normal(seed, 2 * H - 1, dim),
        normal(seed, 2 * W - 1, dim),
    )
    rel_h, rel_w = decomposed_rel_pos(q, table_h, table_w, grid)
    for token in range(H * W):
        i, j = token // W, token % W
        for row in range(H):
            np.testing.assert_allclose(
                rel_h[0, 1, token, row], q[0, 1, token] @ table_h[i - row + H - 1], atol=1e-12
            )
        for column in range(W):
            expected = q[0, 1, token] @ table_w[j - column + W - 1]
            np.testing.assert_allclose(rel_w[0, 1, token, column], expected, atol=1e-12)


@given(seed=seeds, size=sides)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_table_depends_on_the_offset_alone(seed, size):
    gathered = relative_position_table(normal(seed, 2 * size - 1, 3), size, size)
    for step in range(1, size):
        np.testing.assert_array_equal(gathered[step:, step:], gathered[:-step, :-step])


@given(seed=seeds, trained=sides, size=sides)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_table_of_another_length_is_interpolated_linearly(seed, trained, size):
    rows, wanted = 2 * trained - 1, 2 * size - 1
    table = normal(seed, rows, 3)
    gathered = relative_position_table(table, size, size)
    resampled = np.concatenate([gathered[0, ::-1], gathered[1:, 0]])
    centres = np.clip((np.arange(wanted) + 0.5) * rows / wanted - 0.5, 0, rows - 1)
    if rows == 1:
        expected = np.broadcast_to(table, (wanted, 3))
    else:
        expected = scipy.interpolate.make_interp_spline(np.arange(rows), table, k=1)(centres)
    np.testing.assert_allclose(resampled, expected, rtol=1e-11, atol=1e-12)


def test_interpolation_by_hand():
    table = np.array([[0.0], [10.0], [20.0]], np.float32)
    gathered = relative_position_table(table, 3, 3)
    np.testing.assert_allclose(gathered[0, ::-1, 0], [0, 4, 10], atol=1e-6)
    np.testing.assert_allclose(gathered[2, ::-1, 0], [10, 16, 20], atol=1e-6)
    assert gathered.dtype == np.float32


@pytest.mark.parametrize(("q_size", "k_size"), [(2, 4), (4, 2), (3, 7), (1, 5), (5, 1)])
def test_sizes_that_differ_are_stretched_to_the_longer_one(q_size, k_size):
    size = max(q_size, k_size)
    rows = np.arange(2 * size - 1.0)[:, None]
    gathered = relative_position_table(rows, q_size, k_size)[..., 0]
    for i in range(q_size):
        for j in range(k_size):
            offset = i * size / q_size - j * size / k_size
            last = (k_size - 1) * size / k_size
            assert gathered[i, j] == np.floor(offset + last + 1e-9)

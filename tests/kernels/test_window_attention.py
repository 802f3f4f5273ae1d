from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches, grids, head_dims, heads, normal, seeds, windows

from minisam_kernels.reference.attention import attention
from minisam_kernels.reference.rel_pos_attention import decomposed_rel_pos, rel_pos_attention
from minisam_kernels.reference.window_attention import window_attention

shapes = {"seed": seeds, "batch": batches, "grid": grids, "num_heads": heads, "dim": head_dims}


def draw(seed, batch, grid, num_heads, dim, window):
    channels = num_heads * dim
    qkv, bias = normal(seed, batch, *grid, 3 * channels), normal(seed + 1, 3 * channels)
    return qkv, bias, normal(seed + 2, 2 * window - 1, dim), normal(seed + 3, 2 * window - 1, dim)


def split_heads(qkv, num_heads):
    """[B, H, W, 3*C] -> q, k, v, each [B, N, H*W, D], head by head."""
    B, H, W, _ = qkv.shape
    thirds = np.split(qkv.reshape(B, H * W, -1), 3, axis=-1)
    return [np.stack(np.split(x, num_heads, axis=-1), axis=1) for x in thirds]


def join_heads(x, grid):
    return np.concatenate(list(x.swapaxes(0, 1)), axis=-1).reshape(x.shape[0], *grid, -1)


@given(window=windows, **shapes)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_padding_is_zeros_before_the_projection(seed, batch, grid, num_heads, dim, window):
    """As the released SAM computes it: pad the tokens with zeros, project, cut into windows, attend."""
    channels, (H, W) = num_heads * dim, grid
    _, bias, rel_pos_h, rel_pos_w = draw(seed, batch, grid, num_heads, dim, window)
    x, weight = normal(seed + 4, batch, H, W, channels), normal(seed + 5, 3 * channels, channels, scale=0.5)
    out = window_attention(x @ weight.T + bias, bias, rel_pos_h, rel_pos_w, num_heads, window)

    padded = np.pad(x, ((0, 0), (0, -H % window), (0, -W % window), (0, 0)))
    expected = np.empty_like(padded)
    for top in range(0, padded.shape[1], window):
        for left in range(0, padded.shape[2], window):
            cut = np.s_[:, top : top + window, left : left + window]
            q, k, v = split_heads(padded[cut] @ weight.T + bias, num_heads)
            rel = decomposed_rel_pos(q, rel_pos_h, rel_pos_w, (window, window))
            expected[cut] = join_heads(rel_pos_attention(q, k, v, *rel, dim**-0.5), (window, window))
    np.testing.assert_allclose(out, expected[:, :H, :W], rtol=1e-9, atol=1e-11)


@given(**shapes)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_one_window_as_large_as_the_grid_is_global_attention(seed, batch, grid, num_heads, dim):
    side = max(grid)
    qkv, bias, *_ = draw(seed, batch, (side, side), num_heads, dim, side)
    no_positions = np.zeros((2 * side - 1, dim))
    out = window_attention(qkv, bias, no_positions, no_positions, num_heads, side)
    expected = attention(*split_heads(qkv, num_heads), dim**-0.5)
    np.testing.assert_allclose(out, join_heads(expected, (side, side)), rtol=1e-10, atol=1e-12)


@given(window=windows, **shapes)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_windows_do_not_see_each_other(seed, batch, grid, num_heads, dim, window):
    qkv, bias, rel_pos_h, rel_pos_w = draw(seed, batch, grid, num_heads, dim, window)
    out = window_attention(qkv, bias, rel_pos_h, rel_pos_w, num_heads, window)
    changed = qkv.copy()
    changed[:, :window, :window] += 1
    out_changed = window_attention(changed, bias, rel_pos_h, rel_pos_w, num_heads, window)
    same = np.isclose(out, out_changed, rtol=1e-12, atol=0).all(axis=(0, 3))
    assert same[window:].all() and same[:, window:].all()
    assert not same[:window, :window].any()


def test_padded_tokens_take_their_share_of_the_softmax():
    qkv, bias = np.zeros((1, 1, 1, 3)), np.array([0.0, 0.0, 8.0])
    out = window_attention(qkv, bias, np.zeros((3, 1)), np.zeros((3, 1)), num_heads=1, window_size=2)
    assert out.item() == pytest.approx(3 / 4 * 8)


def test_window_of_one_gives_each_token_its_value():
    qkv, bias, rel_pos_h, rel_pos_w = draw(0, 2, (3, 4), 2, 5, 1)
    out = window_attention(qkv, bias, rel_pos_h, rel_pos_w, 2, 1)
    np.testing.assert_allclose(out, qkv[..., 20:], rtol=1e-12)


def test_keeps_float32():
    arrays = (x.astype(np.float32) for x in draw(0, 1, (3, 4), 2, 5, 2))
    assert window_attention(*arrays, num_heads=2, window_size=2).dtype == np.float32

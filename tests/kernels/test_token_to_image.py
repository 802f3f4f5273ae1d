from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches, head_dims, heads, lengths, normal, seeds

from minisam_kernels.reference.attention import multi_head_attention
from minisam_kernels.reference.token_to_image import token_to_image


@given(seed=seeds, batch=batches, num_heads=heads, tokens=lengths, keys=lengths, dim=head_dims)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_it_is_attention_with_the_projections_moved_to_the_tokens(seed, batch, num_heads, tokens, keys, dim):
    """The claim of the file: rows made of W_k, and W_v on what comes out, give multi-head attention exactly."""
    wide, inner = 2 * num_heads * dim, num_heads * dim
    names = ("q_proj", "k_proj", "v_proj")
    weights = {f"{name}.weight": normal(seed + n, inner, wide) for n, name in enumerate(names)}
    weights |= {f"{name}.bias": normal(seed + 7 + n, inner) for n, name in enumerate(names)}
    weights |= {"out_proj.weight": normal(seed + 3, wide, inner), "out_proj.bias": normal(seed + 4, wide)}
    x, image, pe = (
        normal(seed, batch, tokens, wide),
        normal(seed, batch, keys, wide),
        normal(seed, keys, wide),
    )

    def of_heads(name):
        return weights[f"{name}.weight"].reshape(num_heads, dim, wide)

    q = (x @ weights["q_proj.weight"].T + weights["q_proj.bias"]).reshape(batch, tokens, num_heads, dim)
    rows = np.einsum("btnd,nde->bnte", q, of_heads("k_proj")).reshape(batch, -1, wide)
    seen = token_to_image(rows, image, pe, dim**-0.5).reshape(batch, num_heads, tokens, wide)
    values = np.einsum("bnte,nde->btnd", seen, of_heads("v_proj")).reshape(batch, tokens, inner)
    out = (values + weights["v_proj.bias"]) @ weights["out_proj.weight"].T + weights["out_proj.bias"]
    expected = multi_head_attention(x, image + pe, image, weights, num_heads)
    np.testing.assert_allclose(out, expected, rtol=1e-8, atol=1e-8 * abs(expected).max())


def test_positions_are_in_the_key_and_not_in_the_value():
    rows, image = normal(0, 1, 3, 4), normal(1, 1, 5, 4)
    everywhere = np.ones((5, 4))
    np.testing.assert_allclose(
        token_to_image(rows, image, everywhere, 0.5),
        token_to_image(rows, image, 0 * everywhere, 0.5),
        rtol=1e-10,
    )
    assert np.ptp(token_to_image(0 * rows, image, normal(2, 5, 4), 0.5) - image.mean(axis=1)) < 1e-12


@pytest.mark.parametrize("rows", [1, 7])
def test_images_do_not_mix_and_share_their_positions(rows):
    asked, image, pe = normal(0, 2, rows, 4), normal(1, 2, 9, 4), normal(2, 9, 4)
    out = token_to_image(asked, image, pe, 0.5)
    assert out.shape == asked.shape
    for b in range(2):
        np.testing.assert_allclose(out[b], token_to_image(asked[b : b + 1], image[b : b + 1], pe, 0.5)[0])

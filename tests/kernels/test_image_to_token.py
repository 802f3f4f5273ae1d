from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from strategies import batches, head_dims, heads, lengths, normal, seeds

from minisam_kernels.reference.attention import multi_head_attention
from minisam_kernels.reference.image_to_token import image_to_token
from minisam_kernels.reference.layer_norm import layer_norm


@given(seed=seeds, batch=batches, num_heads=heads, tokens=lengths, places=lengths, dim=head_dims)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_it_is_attention_residual_and_norm_with_the_projections_moved_to_the_tokens(
    seed, batch, num_heads, tokens, places, dim
):
    """Rows, offsets and values, made of all four projections, give exactly the last step of a block."""
    wide, inner = 2 * num_heads * dim, num_heads * dim
    names = ("q_proj", "k_proj", "v_proj")
    weights = {f"{name}.weight": normal(seed + n, inner, wide) for n, name in enumerate(names)}
    weights |= {f"{name}.bias": normal(seed + 7 + n, inner) for n, name in enumerate(names)}
    weights |= {"out_proj.weight": normal(seed + 3, wide, inner), "out_proj.bias": normal(seed + 4, wide)}
    x, x_pe = normal(seed, batch, tokens, wide), normal(seed + 1, batch, tokens, wide)
    image, pe = normal(seed, batch, places, wide), normal(seed, places, wide)
    norm = normal(seed + 5, wide), normal(seed + 6, wide)

    def project(tensor, name):
        projected = tensor @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return projected.reshape(batch, tokens, num_heads, dim)

    k = project(x + x_pe, "k_proj")
    rows = np.einsum("btnd,nde->bnte", k, weights["q_proj.weight"].reshape(num_heads, dim, wide))
    offsets = np.einsum("btnd,nd->bnt", k, weights["q_proj.bias"].reshape(num_heads, dim))
    heads_of_out = weights["out_proj.weight"].T.reshape(num_heads, dim, wide)
    values = (
        np.einsum("btnd,nde->bnte", project(x, "v_proj"), heads_of_out) + weights["out_proj.bias"] / num_heads
    )
    out = image_to_token(image, pe, rows, offsets, values, *norm, dim**-0.5, 1e-5)
    attended = multi_head_attention(image + pe, x + x_pe, x, weights, num_heads)
    expected = layer_norm(image + attended, *norm, eps=1e-5)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-9 * max(1.0, abs(expected).max()))


def test_one_image_serves_all_prompts():
    rows, offsets, values = normal(0, 3, 2, 5, 4), normal(1, 3, 2, 5), normal(2, 3, 2, 5, 4)
    image, pe, norm = normal(3, 1, 9, 4), normal(4, 9, 4), (normal(5, 4), normal(6, 4))
    out = image_to_token(image, pe, rows, offsets, values, *norm, 0.5, 1e-5)
    each = image_to_token(image.repeat(3, axis=0), pe, rows, offsets, values, *norm, 0.5, 1e-5)
    np.testing.assert_allclose(out, each, rtol=1e-12)


def test_a_head_has_a_softmax_of_its_own():
    """Offsets that a head's tokens share change nothing; one softmax for all heads would silence the others."""
    rows, values, image, pe = (
        normal(0, 1, 2, 3, 4),
        normal(1, 1, 2, 3, 4),
        normal(2, 1, 5, 4),
        normal(3, 5, 4),
    )
    offsets = normal(4, 1, 2, 3)
    raised = offsets + np.array([100.0, 0.0])[None, :, None]
    arguments = values, np.ones(4), np.zeros(4), 0.5, 1e-5
    np.testing.assert_allclose(
        image_to_token(image, pe, rows, raised, *arguments),
        image_to_token(image, pe, rows, offsets, *arguments),
        rtol=1e-9,
        atol=1e-12,
    )

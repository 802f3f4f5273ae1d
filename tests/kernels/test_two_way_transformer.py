from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches, grids, normal, seeds

from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.two_way_transformer import two_way_block, two_way_transformer

WIDTH, HIDDEN, HEADS = 8, 12, 2
ATTENTIONS = {
    "self_attn": WIDTH,
    "cross_attn_token_to_image": WIDTH // 2,
    "cross_attn_image_to_token": WIDTH // 2,
}


def draw_attention(seed, prefix, inner):
    weights = {}
    for i, (name, shape) in enumerate(
        {
            "q_proj": (inner, WIDTH),
            "k_proj": (inner, WIDTH),
            "v_proj": (inner, WIDTH),
            "out_proj": (WIDTH, inner),
        }.items()
    ):
        weights[f"{prefix}.{name}.weight"] = normal(seed + i, *shape, scale=0.6)
        weights[f"{prefix}.{name}.bias"] = normal(seed + i, shape[0], scale=0.3)
    return weights


def draw_block(seed, prefix=""):
    weights = {}
    for i, (name, inner) in enumerate(ATTENTIONS.items()):
        weights |= draw_attention(seed + 7 * i, f"{prefix}{name}", inner)
    for i in range(1, 5):
        weights[f"{prefix}norm{i}.weight"] = 1 + normal(seed + i, WIDTH, scale=0.3)
        weights[f"{prefix}norm{i}.bias"] = normal(seed - i, WIDTH, scale=0.3)
    weights[f"{prefix}mlp.lin1.weight"] = normal(seed, HIDDEN, WIDTH, scale=0.5)
    weights[f"{prefix}mlp.lin1.bias"] = normal(seed, HIDDEN, scale=0.3)
    weights[f"{prefix}mlp.lin2.weight"] = normal(seed, WIDTH, HIDDEN, scale=0.5)
    weights[f"{prefix}mlp.lin2.bias"] = normal(seed, WIDTH, scale=0.3)
    return weights


def draw_transformer(seed, depth):
    weights = draw_attention(seed, "final_attn_token_to_image", WIDTH // 2)
    weights |= {
        "norm_final_attn.weight": normal(seed, WIDTH),
        "norm_final_attn.bias": normal(seed + 1, WIDTH),
    }
    for layer in range(depth):
        weights |= draw_block(seed + 100 * (layer + 1), f"layers.{layer}.")
    return weights


def draw_inputs(seed, batch, tokens, grid):
    image, image_pe = normal(seed, batch, WIDTH, *grid), normal(seed + 1, batch, WIDTH, *grid)
    return image, image_pe, normal(seed, batch, tokens, WIDTH)


shapes = {"seed": seeds.map(lambda seed: seed + 10), "batch": batches, "tokens": batches, "grid": grids}


@given(**shapes)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_order_of_tokens_and_of_positions_is_kept(seed, batch, tokens, grid):
    weights, rng = draw_transformer(seed, 2), np.random.default_rng(seed)
    image, image_pe, prompt = draw_inputs(seed, batch, tokens, grid)
    x, y = two_way_transformer(image, image_pe, prompt, weights, HEADS, 2)
    assert x.shape == prompt.shape and y.shape == (batch, grid[0] * grid[1], WIDTH)

    order = rng.permutation(tokens)
    x_shuffled, y_same = two_way_transformer(image, image_pe, prompt[:, order], weights, HEADS, 2)
    np.testing.assert_allclose(x_shuffled, x[:, order], atol=1e-9)
    np.testing.assert_allclose(y_same, y, atol=1e-9)

    flipped = two_way_transformer(
        image[:, :, ::-1, ::-1], image_pe[:, :, ::-1, ::-1], prompt, weights, HEADS, 2
    )
    np.testing.assert_allclose(flipped[0], x, atol=1e-9)
    np.testing.assert_allclose(flipped[1], y[:, ::-1], atol=1e-9)


@given(**shapes)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_prompts_do_not_see_each_other(seed, batch, tokens, grid):
    weights, inputs = draw_transformer(seed, 2), draw_inputs(seed, batch, tokens, grid)
    together = two_way_transformer(*inputs, weights, HEADS, 2)
    alone = two_way_transformer(*(x[-1:] for x in inputs), weights, HEADS, 2)
    for both, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(both[-1:], one, atol=1e-9)


def silenced(weights, *names):
    """The same weights with the named layers' output projections at zero, so that they add nothing."""
    last = {"mlp": "mlp.lin2"} | {name: f"{name}.out_proj" for name in ATTENTIONS}
    zeros = {
        f"{last[name]}.{kind}": 0 * weights[f"{last[name]}.{kind}"]
        for name in names
        for kind in ("weight", "bias")
    }
    return weights | zeros


def norms(x, weights, *numbers):
    for number in numbers:
        x = layer_norm(x, weights[f"norm{number}.weight"], weights[f"norm{number}.bias"], 1e-5)
    return x


@pytest.mark.parametrize("first", [True, False])
def test_with_silent_attentions_only_residuals_and_norms_are_left(first):
    """Every norm comes after its residual sum; in layer 0 the self-attention has no residual."""
    weights = silenced(draw_block(20), *ATTENTIONS, "mlp")
    x, p, y, e = (
        normal(1, 2, 3, WIDTH),
        normal(2, 2, 3, WIDTH),
        normal(3, 2, 5, WIDTH),
        normal(4, 2, 5, WIDTH),
    )
    x_out, y_out = two_way_block(x, y, p, e, weights, HEADS, first)
    np.testing.assert_allclose(x_out, norms(0 * x if first else x, weights, 1, 2, 3), rtol=1e-12)
    np.testing.assert_allclose(y_out, norms(y, weights, 4), rtol=1e-12)


@pytest.mark.parametrize(
    ("heard", "first", "tokens_see_p", "tokens_see_e", "image_sees_p", "image_sees_e"),
    [
        ("self_attn", True, False, False, False, False),
        ("self_attn", False, True, False, False, False),
        ("cross_attn_token_to_image", False, True, True, False, False),
        ("cross_attn_image_to_token", False, False, False, True, True),
        ("mlp", False, False, False, False, False),
    ],
)
def test_which_positions_each_step_sees(heard, first, tokens_see_p, tokens_see_e, image_sees_p, image_sees_e):
    weights = silenced(draw_block(20), *(name for name in (*ATTENTIONS, "mlp") if name != heard))
    x, p, y, e = (
        normal(1, 2, 3, WIDTH),
        normal(2, 2, 3, WIDTH),
        normal(3, 2, 5, WIDTH),
        normal(4, 2, 5, WIDTH),
    )
    x_out, y_out = two_way_block(x, y, p, e, weights, HEADS, first)
    x_without_p, y_without_p = two_way_block(x, y, 0 * p, e, weights, HEADS, first)
    x_without_e, y_without_e = two_way_block(x, y, p, 0 * e, weights, HEADS, first)
    seen = [not np.allclose(*pair) for pair in ((x_out, x_without_p), (x_out, x_without_e))]
    seen += [not np.allclose(*pair) for pair in ((y_out, y_without_p), (y_out, y_without_e))]
    assert seen == [tokens_see_p, tokens_see_e, image_sees_p, image_sees_e]


def test_positions_weigh_keys_and_queries_but_are_never_values():
    """A constant position added to every key cancels out in the softmax; in the values it would not."""
    weights = silenced(draw_block(20), "mlp")
    x, p, y, e = (
        normal(1, 2, 3, WIDTH),
        normal(2, 2, 3, WIDTH),
        normal(3, 2, 5, WIDTH),
        normal(4, 2, 5, WIDTH),
    )
    only_keys = silenced(weights, "self_attn", "cross_attn_image_to_token")
    moved = two_way_block(x, y, p, e + normal(5, WIDTH), only_keys, HEADS, False)
    np.testing.assert_allclose(moved[0], two_way_block(x, y, p, e, only_keys, HEADS, False)[0], atol=1e-9)
    only_keys = silenced(weights, "self_attn", "cross_attn_token_to_image")
    moved = two_way_block(x, y, p + normal(5, WIDTH), e, only_keys, HEADS, False)
    np.testing.assert_allclose(moved[1], two_way_block(x, y, p, e, only_keys, HEADS, False)[1], atol=1e-9)


def test_without_layers_only_the_final_attention_is_left():
    weights = draw_transformer(3, 0)
    weights["final_attn_token_to_image.out_proj.weight"] = np.zeros((WIDTH, WIDTH // 2))
    weights["final_attn_token_to_image.out_proj.bias"] = normal(8, WIDTH)
    image, image_pe, prompt = draw_inputs(3, 2, 4, (2, 3))
    x, y = two_way_transformer(image, image_pe, prompt, weights, HEADS, 0)
    residual = prompt + weights["final_attn_token_to_image.out_proj.bias"]
    expected = layer_norm(residual, weights["norm_final_attn.weight"], weights["norm_final_attn.bias"], 1e-5)
    np.testing.assert_allclose(x, expected, rtol=1e-12)
    np.testing.assert_array_equal(y.swapaxes(1, 2).reshape(image.shape), image)

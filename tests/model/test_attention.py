from __future__ import annotations

import pytest
import torch
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from strategies import batches, head_dims, heads, layouts, lengths, normal, seeds

from minisam.model.attention import Attention
from minisam.model.fast.kernel_choice import choose_kernels_by
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


def test_training_drops_weights_and_keeps_their_mean():
    """With one key its weight is 1: dropped it leaves the bias, kept it counts 1 / (1 - share)."""
    module = Attention(8, 1, dropout=0.25)
    q, k = torch.randn(1, 4000, 8), torch.randn(1, 1, 8)
    value = module.v_proj(k)[0, 0]
    bias, kept = module.out_proj(torch.zeros(8)), module.out_proj(value / 0.75)
    out = module.train()(q, k, k)[0]
    dropped = (out - bias).abs().amax(dim=1) < 1e-5
    assert abs(dropped.float().mean().item() - 0.25) < 0.05
    torch.testing.assert_close(out[~dropped], kept.expand(int((~dropped).sum()), 8))
    torch.testing.assert_close(module.eval()(q, k, k)[0], module.out_proj(value).expand(4000, 8))


def test_heads_must_divide_the_inner_width():
    with pytest.raises(ValueError, match="3 does not divide 4"):
        Attention(8, 3, downsample_rate=2)
    assert Attention(8, 4, downsample_rate=2).q_proj.weight.shape == (4, 8)


@pytest.mark.parametrize(("width", "rate", "heads"), [(9, 2, 4), (9, 2, 2), (8, 2, 4), (6, 1, 3)])
def test_heads_divide_the_inner_width(width, rate, heads):
    """Not the width of the tokens, which need not be a multiple of them."""
    tokens = torch.randn(2, 3, width)
    assert Attention(width, heads, rate)(tokens, tokens, tokens).shape == tokens.shape
    with pytest.raises(ValueError, match="must divide the inner width"):
        Attention(width, width // rate + 1, rate)


@pytest.mark.parametrize(("dropout", "training", "asked"), [(0.5, True, 0), (0.5, False, 1), (0.0, True, 1)])
def test_a_kernel_is_asked_for_only_where_nothing_is_dropped(dropout, training, asked):
    """Kernels have no dropout; they would train without it."""
    seen = []

    def attend(q, k, v, scale):
        seen.append(scale)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale)

    before = choose_kernels_by(lambda operation, tensor, head_dim: attend)
    try:
        module = Attention(16, 2, dropout=dropout).train(training)
        x = torch.randn(1, 40, 16, generator=torch.Generator().manual_seed(0))
        torch.manual_seed(0)
        first, second = module(x, x, x), module(x, x, x)
    finally:
        choose_kernels_by(before)
    assert seen == [8**-0.5] * (2 * asked)
    assert torch.equal(first, second) == bool(asked)

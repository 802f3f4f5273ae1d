from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import batches, grids, lengths, normal, seeds

from minisam_kernels.reference.hypernetwork_head import hypernetwork_head, hypernetwork_masks, mlp


def draw_mlp(seed, widths, prefix=""):
    weights = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        weights[f"{prefix}layers.{i}.weight"] = normal(seed + i, outputs, inputs)
        weights[f"{prefix}layers.{i}.bias"] = normal(seed + i, outputs)
    return weights


@given(seed=seeds, batch=batches, masks=batches, grid=grids)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_each_mask_is_its_tokens_classifier_on_every_pixel(seed, batch, masks, grid):
    tokens, upscaled = normal(seed, batch, masks, 5), normal(seed, batch, 3, *grid)
    weights = {}
    for m in range(masks):
        weights |= draw_mlp(seed + 10 * m, [5, 6, 4, 3], f"{m}.")
    out = hypernetwork_head(tokens, upscaled, weights)
    assert out.shape == (batch, masks, *grid)
    for b in range(batch):
        for m in range(masks):
            classifier = mlp(tokens[b, m], draw_mlp(seed + 10 * m, [5, 6, 4, 3]))
            expected = sum(classifier[c] * upscaled[b, c] for c in range(3))
            np.testing.assert_allclose(out[b, m], expected, rtol=1e-9, atol=1e-9)


@given(seed=seeds, batch=batches, masks=batches, channels=lengths, grid=grids)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_masks_are_bilinear(seed, batch, masks, channels, grid):
    first, second = normal(seed, batch, masks, channels), normal(seed + 1, batch, masks, channels)
    image = normal(seed + 2, batch, channels, *grid)
    both = hypernetwork_masks(first + second, image)
    apart = hypernetwork_masks(first, image) + hypernetwork_masks(second, image)
    np.testing.assert_allclose(both, apart, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        hypernetwork_masks(first, 3 * image), 3 * hypernetwork_masks(first, image), atol=1e-9
    )


def test_mlp_by_hand():
    weights = {
        "layers.0.weight": np.array([[1.0], [-1.0]]),
        "layers.0.bias": np.array([0.0, 1.0]),
        "layers.1.weight": np.array([[1.0, 10.0]]),
        "layers.1.bias": np.array([-100.0]),
    }
    np.testing.assert_allclose(mlp(np.array([[3.0], [-2.0], [0.5]]), weights), [[-97.0], [-70.0], [-94.5]])


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_every_layer_takes_part(depth):
    weights = draw_mlp(0, [4] * (depth + 1))
    x = normal(0, 7, 4)
    out = mlp(x, weights)
    for layer in range(depth):
        without = weights | {f"layers.{layer}.weight": np.zeros((4, 4))}
        assert not np.allclose(mlp(x, without), out)

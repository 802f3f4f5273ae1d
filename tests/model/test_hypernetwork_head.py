from __future__ import annotations

import pytest
import torch
from held_to_reference import as_function, assert_same_gradients, assert_same_values, random_state
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, grids, layouts, normal, seeds
from torch import nn

from minisam.model import hypernetwork_head as module_file
from minisam.model.hypernetwork_head import HypernetworkHead, hypernetwork_weights
from minisam_kernels.reference import hypernetwork_head as reference_file

WIDTH, HIDDEN, CHANNELS = 6, 7, 3


class Heads(nn.ModuleList):
    """One head per mask token, used as in the mask decoder."""

    def forward(self, tokens, upscaled):
        weights = [head(tokens[:, m]) for m, head in enumerate(self)]
        return module_file.hypernetwork_masks(torch.stack(weights, dim=1), upscaled)


def draw(seed, batch, masks, grid, layers=3):
    module = Heads(HypernetworkHead(WIDTH, HIDDEN, CHANNELS, layers) for _ in range(masks))
    inputs = {"tokens": normal(seed, batch, masks, WIDTH), "upscaled": normal(seed, batch, CHANNELS, *grid)}

    def reference(tokens, upscaled, **state):
        return reference_file.hypernetwork_head(tokens, upscaled, state)

    return as_function(module, *inputs), reference, inputs | random_state(module, seed)


@given(
    seed=seeds, batch=batches, masks=st.integers(1, 4), grid=grids, layers=st.integers(1, 4), layout=layouts
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_values(seed, batch, masks, grid, layers, layout):
    assert_same_values(*draw(seed, batch, masks, grid, layers), layout)


@given(seed=seeds, batch=batches, grid=grids, layout=layouts)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_values_of_the_masks(seed, batch, grid, layout):
    arrays = {"weights": normal(seed, batch, 4, CHANNELS), "upscaled": normal(seed, batch, CHANNELS, *grid)}
    assert_same_values(
        module_file.hypernetwork_masks,
        lambda weights, upscaled: reference_file.hypernetwork_masks(weights, upscaled),
        arrays,
        layout,
    )


def test_sigmoid_output_squeezes_the_last_layer():
    plain, squeezed = (
        HypernetworkHead(WIDTH, HIDDEN, CHANNELS, 3, sigmoid_output=on) for on in (False, True)
    )
    squeezed.load_state_dict(plain.state_dict())
    x = torch.tensor(normal(0, 5, WIDTH), dtype=torch.float32)
    torch.testing.assert_close(squeezed(x), torch.sigmoid(plain(x)))


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed):
    assert_same_gradients(*draw(seed, 2, 2, (3, 5)), seed)


@torch.no_grad()
@pytest.mark.parametrize("chosen", [slice(None), slice(1, None), slice(0, 1), slice(2, 3)])
def test_chosen_weights_are_those_of_all(chosen):
    """Each token keeps its own head."""
    torch.manual_seed(0)
    heads = nn.ModuleList(HypernetworkHead(6, 8, 5, 3) for _ in range(4))
    tokens = torch.randn(2, 4, 6)
    everything = torch.stack([head(tokens[:, place]) for place, head in enumerate(heads)], dim=1)
    torch.testing.assert_close(hypernetwork_weights(heads, tokens, chosen), everything[:, chosen])

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import grids, normal, seeds
from torch import nn

from minisam.model.fast.token_upscaling import Doubling, TokenUpscaling, doubles_tokens
from minisam.model.hypernetwork_head import hypernetwork_masks
from minisam.model.layer_norm_2d import LayerNorm2d


def draw(seed, masks, grid, dtype=torch.float64):
    torch.manual_seed(seed % 2**31)
    upscaling = nn.Sequential(
        nn.ConvTranspose2d(8, 6, 2, 2), LayerNorm2d(6), nn.GELU(), nn.ConvTranspose2d(6, 3, 2, 2), nn.GELU()
    ).to(dtype)
    for parameter in upscaling.parameters():
        nn.init.normal_(parameter)
    tokens = torch.tensor(normal(seed, grid[0] * grid[1], 8), dtype=dtype, requires_grad=True)
    weights = torch.tensor(normal(seed + 1, masks, 3), dtype=dtype, requires_grad=True)
    image = tokens.T.unflatten(1, grid)[None]
    return upscaling, tokens, weights, hypernetwork_masks(weights[None], upscaling(image))[0]


@given(seed=seeds, masks=st.integers(1, 4), grid=grids)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_values(seed, masks, grid):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        upscaling, tokens, weights, expected = draw(seed, masks, grid, dtype)
        got = TokenUpscaling(upscaling).masks(tokens, weights, grid)
        assert got.shape == expected.shape and got.dtype == dtype
        assert (got - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize(
    "other",
    [
        {"kernel_size": 3},
        {"kernel_size": (2, 1)},
        {"stride": 1},
        {"padding": 1},
        {"padding": (0, 1)},
        {"output_padding": 1},
        {"dilation": 2},
        {"dilation": (1, 2)},
        {"groups": 2},
    ],
    ids=str,
)
def test_layers_whose_pixels_depend_on_other_tokens_are_left_to_the_convolution(place, other):
    upscaling = nn.Sequential(
        nn.ConvTranspose2d(8, 6, 2, 2), LayerNorm2d(6), nn.GELU(), nn.ConvTranspose2d(6, 4, 2, 2), nn.GELU()
    ).eval()
    assert doubles_tokens(upscaling)
    layer = upscaling[place]
    usual = {"kernel_size": 2, "stride": 2}
    upscaling[place] = nn.ConvTranspose2d(layer.in_channels, layer.out_channels, **(usual | other))
    assert not doubles_tokens(upscaling.eval())


def test_gradients():
    upscaling, tokens, weights, expected = draw(1, 3, (3, 5))
    sources = [tokens, weights, *upscaling.parameters()]
    upstream = torch.tensor(normal(7, *expected.shape))
    got = TokenUpscaling(upscaling).masks(tokens, weights, (3, 5))
    wanted, found = (torch.autograd.grad((out * upstream).sum(), sources) for out in (expected, got))
    for ours, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
def test_rows_are_those_of_the_transposed_convolution(bias):
    torch.manual_seed(0)
    double = nn.ConvTranspose2d(4, 3, 2, 2, bias=bias)
    tokens = torch.randn(6, 4)
    image = double(tokens.T.reshape(1, 4, 2, 3))[0]  # [3, 4, 6]
    even, odd = Doubling(double).rows(tokens)
    torch.testing.assert_close(even.T.unflatten(1, (2, 6)), image[:, 0::2])
    torch.testing.assert_close(odd.T.unflatten(1, (2, 6)), image[:, 1::2])

"""A token-wise linear layer is nn.Linear by another road: same values, same gradients, same parameters."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minisam.model.fast import token_linear
from minisam.model.fast.token_linear import TokenLinear

GRIDS = [(1, 16, 17, 24), (3, 5, 1, 24), (2, 200, 24), (300, 24), (24,), (0, 24)]


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got.double() - expected).norm() / expected.norm().clamp(min=1e-30)).item()


@pytest.mark.parametrize("shape", GRIDS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_a_linear_layer(shape, bias):
    layer = TokenLinear(24, 40, bias=bias)
    x = torch.randn(shape, requires_grad=True)
    out = layer(x)
    parameters = [x, *layer.parameters()]
    exact = [p.detach().double().requires_grad_() for p in parameters]
    expected = F.linear(*exact)
    assert out.shape == expected.shape
    assert relative_error(out, expected) < 1e-6
    upstream = torch.randn(out.shape)
    gradients = torch.autograd.grad(out, parameters, upstream)
    for got, right in zip(gradients, torch.autograd.grad(expected, exact, upstream.double()), strict=True):
        assert relative_error(got, right) < 1e-6


def test_many_tokens_take_the_convolution_and_few_do_not(monkeypatch):
    calls = []
    monkeypatch.setattr(token_linear.F, "conv2d", lambda *args: calls.append(1) or torch.conv2d(*args))
    layer = TokenLinear(8, 8)
    layer(torch.zeros(255, 8))
    assert not calls
    layer(torch.zeros(1, 16, 16, 8))
    assert calls
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.zeros(16, 16, 8)).dtype == torch.bfloat16
    assert len(calls) == 1


def test_a_transposed_input_is_read_by_its_strides():
    layer = TokenLinear(24, 40)
    x = torch.randn(24, 30, 20).permute(2, 1, 0)
    assert relative_error(layer(x), F.linear(x.double(), layer.weight.double(), layer.bias.double())) < 1e-6


def test_checkpoints_see_a_linear_layer():
    assert isinstance(TokenLinear(3, 4), nn.Linear)
    assert list(TokenLinear(3, 4).state_dict()) == list(nn.Linear(3, 4).state_dict())

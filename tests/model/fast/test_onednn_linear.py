from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import lay_out, layouts, lengths, normal, seeds

from minisam.model.fast import matrix_product
from minisam.model.fast.matrix_product import OneDNNLinear, linear, product

needs_onednn = pytest.mark.skipif(not matrix_product.AVAILABLE, reason="a build of torch with oneDNN")


@needs_onednn
@given(seed=seeds, rows=lengths, inner=lengths, columns=lengths, bias=st.booleans(), layout=layouts)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_values_in_every_layout(seed, rows, inner, columns, bias, layout):
    x, weight = normal(seed, rows, inner), normal(seed + 1, columns, inner)
    b = normal(seed + 2, columns) if bias else None
    tensors = [
        None if a is None else lay_out(torch.tensor(a, dtype=torch.float32), layout) for a in (x, weight, b)
    ]
    expected = x @ weight.T + (0 if b is None else b)
    out = OneDNNLinear.apply(*tensors)
    assert out.shape == expected.shape and out.dtype == torch.float32
    torch.testing.assert_close(out.double(), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_large_products_go_to_onednn_and_are_right(monkeypatch):
    a, b = torch.randn(70, 300), torch.randn(300, 256)
    calls = []
    monkeypatch.setattr(OneDNNLinear, "apply", lambda *inputs: calls.append(1) or F.linear(*inputs))
    torch.testing.assert_close(product(a, b), a @ b)
    torch.testing.assert_close(product(a[:7], b), a[:7] @ b)
    torch.testing.assert_close(product(a.double(), b.double()), a.double() @ b.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert product(a, b).dtype == torch.bfloat16
    assert len(calls) == matrix_product.AVAILABLE


@needs_onednn
@pytest.mark.parametrize(
    "needed", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_gradients(needed):
    x, weight, bias = torch.randn(40, 500), torch.randn(300, 500), torch.randn(300)
    upstream = torch.randn(40, 300)
    found = []
    for function in (F.linear, linear):
        inputs = [t.clone().requires_grad_(on) for t, on in zip((x, weight, bias), needed, strict=True)]
        (function(*inputs) * upstream).sum().backward()
        found.append([t.grad for t in inputs])
    for plain, ours in zip(*found, strict=True):
        assert (plain is None) == (ours is None)
        if plain is not None:
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_gradients_of_gradients():
    x, weight = torch.randn(40, 500, requires_grad=True), torch.randn(300, 500, requires_grad=True)

    def second(function):
        (first,) = torch.autograd.grad(function(x, weight).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), weight)[0]

    plain, ours = second(F.linear), second(linear)
    assert (ours - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_small_products_and_those_without_onednn(monkeypatch):
    monkeypatch.setattr(matrix_product, "AVAILABLE", False)
    a, b = torch.randn(70, 300), torch.randn(300, 256)
    assert product(a, b).equal(F.linear(a, b.T))

"""Where oneDNN is the faster one, every nn.Linear goes to it without knowing, and gives what it gave."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import lay_out, layouts, lengths, normal, seeds
from torch import nn

from minisam.model import ImageEncoderViT, MaskDecoder, TwoWayTransformer
from minisam.model.fast import onednn_linear
from minisam.model.fast.onednn_linear import (
    LinearByOneDNN,
    OneDNNLinear,
    faster_linear_layers,
    linear,
    onednn_is_faster,
    product,
)

needs_onednn = pytest.mark.skipif(not onednn_linear.AVAILABLE, reason="a build of torch with oneDNN")


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes that went to oneDNN, which is the faster one here."""
    shapes, apply = [], OneDNNLinear.apply
    monkeypatch.setattr(onednn_linear, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(
        OneDNNLinear, "apply", lambda x, *rest: shapes.append(tuple(x.shape)) or apply(x, *rest)
    )
    return shapes


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


@needs_onednn
@pytest.mark.parametrize("shape", [(70, 300), (2, 5, 7, 300), (4096 * 4,)], ids=str)
def test_large_float32_goes_to_onednn_and_is_right(calls, shape):
    layer = nn.Linear(shape[-1], 256)
    x = torch.randn(shape)
    expected = layer.double()(x.double())
    layer.float()
    for out in (linear(x, layer.weight, layer.bias), linear(weight=layer.weight, input=x, bias=layer.bias)):
        assert out.shape == expected.shape and out.dtype == torch.float32
        torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    assert len(calls) == 2


def test_small_double_and_half_do_not(calls):
    layer = nn.Linear(300, 256)
    with LinearByOneDNN():
        assert layer(torch.randn(7, 300)).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(torch.randn(70, 300)).dtype == torch.bfloat16
        assert layer.double()(torch.randn(70, 300).double()).dtype == torch.float64
        assert layer(torch.randn(0, 300).double()).shape == (0, 256)
    assert not calls


def test_a_product_is_a_linear_layer():
    a, b = torch.randn(70, 300), torch.randn(300, 256)
    torch.testing.assert_close(product(a, b), a @ b)


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


def test_without_onednn(monkeypatch):
    monkeypatch.setattr(onednn_linear, "AVAILABLE", False)
    x, weight = torch.randn(70, 300), torch.randn(256, 300)
    assert linear(x, weight).equal(F.linear(x, weight))


@pytest.mark.parametrize(
    ("vendor", "faster"), [("AuthenticAMD", True), ("GenuineIntel", False), ("ARM", False)]
)
@pytest.mark.parametrize("system", ["Linux", "another"])
def test_chosen_by_the_processor(system, vendor, faster, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: system == "Linux")
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: f"vendor_id\t: {vendor}\n")
    monkeypatch.setattr(platform, "processor", lambda: f"AMD64 Family 25, {vendor}")
    monkeypatch.setattr(onednn_linear, "AVAILABLE", True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert onednn_is_faster.__wrapped__() is faster
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not onednn_is_faster.__wrapped__()


def encoder() -> nn.Module:
    options = {"use_rel_pos": True, "window_size": 5, "global_attn_indexes": (1,)}
    torch.manual_seed(0)
    return ImageEncoderViT(128, 8, 3, 96, 2, 2, out_chans=8, **options).eval()


def decoder() -> nn.Module:
    torch.manual_seed(0)
    return MaskDecoder(transformer_dim=128, transformer=TwoWayTransformer(2, 128, 4, 64)).eval()


def encode(network: nn.Module) -> torch.Tensor:
    return network(torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)))


def decode(network: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    image, pe = (torch.randn(1, 128, 16, 16, generator=generator) for _ in range(2))
    tokens, dense = torch.randn(3, 2, 128, generator=generator), torch.zeros(1, 128, 1, 1)
    return network(image, pe, tokens, dense.expand(3, 128, 16, 16), True)[0]


NETWORKS = [pytest.param(encoder, encode, id="encoder"), pytest.param(decoder, decode, id="decoder")]


@needs_onednn
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("build", "run"), NETWORKS)
def test_the_networks_layers(build, run, training, calls, monkeypatch):
    monkeypatch.setattr(onednn_linear, "FEWEST_MULTIPLICATIONS", 2**18)
    network = build().train(training)
    found = run(network)
    gradients = torch.autograd.grad(found.square().sum(), [*network.parameters()], allow_unused=True)
    assert calls
    monkeypatch.setattr(onednn_linear, "onednn_is_faster", lambda: False)
    calls.clear()
    expected = run(network)
    wanted = torch.autograd.grad(expected.square().sum(), [*network.parameters()], allow_unused=True)
    assert not calls
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    largest = max(gradient.abs().max() for gradient in wanted if gradient is not None)
    for ours, plain in zip(gradients, wanted, strict=True):
        assert (ours is None) == (plain is None)
        assert ours is None or (ours - plain).abs().max() <= 1e-5 * largest


@needs_onednn
@torch.no_grad()
def test_a_wrapped_layer_is_called_and_what_it_wraps_is_fast_too(calls):
    class Lora(nn.Module):
        def __init__(self, inner: nn.Linear) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return 2 * self.inner(x)

    network = encoder()
    qkv = network.blocks[1].attn.qkv
    network.blocks[1].attn.qkv = Lora(qkv)
    found, shapes = encode(network), list(calls)
    network.blocks[1].attn.qkv = qkv
    qkv.weight.mul_(2), qkv.bias.mul_(2)
    calls.clear()
    torch.testing.assert_close(found, encode(network), rtol=1e-4, atol=1e-5)
    assert shapes == calls


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(300, 256)

    @faster_linear_layers
    def forward(self, x):
        return self.layer(x)


def listened(layer, x):
    handle = nn.modules.module.register_module_forward_hook(lambda *arguments: None)
    try:
        return layer(x)
    finally:
        handle.remove()


def compiled(layer, x):
    try:
        return torch.compile(layer, backend="eager", fullgraph=True)(x)
    finally:
        torch.compiler.reset()


FOLLOWED = {
    "a global hook": listened,
    "compiler": compiled,
    "tracer": lambda layer, x: torch.jit.trace(layer, x, check_trace=False)(x),
    "vmap": lambda layer, x: torch.vmap(layer)(x[None])[0],
    "derivative": lambda layer, x: torch.func.jvp(layer, (x,), (x,))[0],
}


@needs_onednn
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@torch.no_grad()
@pytest.mark.parametrize(
    "follow",
    [pytest.param(name, marks=pytest.mark.slow if name == "compiler" else ()) for name in FOLLOWED],
)
def test_what_is_recorded_is_the_layer_itself(follow, calls):
    layer, x = Layer(), torch.randn(70, 300)
    expected = layer(x)
    assert len(calls) == 1
    torch.testing.assert_close(FOLLOWED[follow](layer, x), expected, rtol=1e-4, atol=1e-5)
    assert len(calls) == 1


def test_a_function_keeps_its_name_and_its_errors(calls):
    @faster_linear_layers
    def divide(x: float) -> float:
        """By itself."""
        return x / x

    assert (divide.__name__, divide.__doc__, divide(2.0)) == ("divide", "By itself.", 1.0)
    with pytest.raises(ZeroDivisionError):
        divide(0.0)

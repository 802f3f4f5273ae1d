"""Every replacement of a layer, and every hook, has its effect on all paths.

Each touch doubles what a linear layer gives, or its weight; the same layer with doubled parameters says what is right.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao.nn.quantized.dynamic import Linear as DynamicLinear
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils import parametrize

import minisam
from minisam.model import ImageEncoderViT, MaskDecoder, TwoWayTransformer
from minisam.model.attention import Attention
from minisam.model.fast import grid_block
from minisam.model.fast.absorbed_projections import may_absorb
from minisam.model.fast.as_built import (
    has_nothing_attached,
    is_affine,
    is_as_built,
    is_in_evaluation,
    is_untouched,
)
from minisam.model.fast.token_upscaling import doubles_tokens
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mlp_block import MLPBlock
from minisam.model.rel_pos_attention import RelPosAttention
from minisam.model.window_attention import WindowAttention
from minisam_kernels.launch import INTERPRETED


class Wrapper(nn.Module):
    """Has a forward and nothing of nn.Linear's."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 2 * self.inner(x)


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Twice(nn.Module):
    def forward(self, weight):
        return 2 * weight


def subclass(layer: nn.Linear) -> nn.Module:
    other = Doubled(layer.in_features, layer.out_features)
    other.load_state_dict(layer.state_dict())
    return other


def forward_hook(layer: nn.Linear) -> nn.Module:
    layer.register_forward_hook(lambda *arguments: 2 * arguments[2])
    return layer


def pre_hook(layer: nn.Linear) -> nn.Module:
    layer.register_forward_pre_hook(lambda *arguments: (2 * arguments[1][0],))
    return layer


def parametrization(layer: nn.Linear) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Twice())
    return layer


def own_forward(layer: nn.Linear) -> nn.Module:
    vars(layer)["forward"] = lambda x: 2 * F.linear(x, layer.weight, layer.bias)
    return layer


TOUCHES = {
    "wrapper": Wrapper,
    "subclass": subclass,
    "forward hook": forward_hook,
    "pre-hook": pre_hook,
    "parametrization": parametrization,
    "another forward": own_forward,
}
OF_THE_WEIGHT_ALONE = ("pre-hook", "parametrization")


def doubled(layer: nn.Linear, touch: str) -> nn.Module:
    with torch.no_grad():
        layer.weight.mul_(2)
        if touch not in OF_THE_WEIGHT_ALONE:
            layer.bias.mul_(2)
    return layer


def replaced(network: nn.Module, ending: str, change) -> nn.Module:
    """A copy in which every layer with this end of a name is changed."""
    other = copy.deepcopy(network)
    for name, module in list(other.named_modules()):
        if name.endswith(ending):
            parent, _, attribute = name.rpartition(".")
            setattr(other.get_submodule(parent), attribute, change(module))
    return other


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    """A window block and a global one; five rows of tokens are no multiple of the window."""
    options = {"use_rel_pos": True, "window_size": 3, "global_attn_indexes": (1,)}
    return randomised(ImageEncoderViT(40, 8, 3, 32, 2, 2, out_chans=8, **options))


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    return randomised(MaskDecoder(transformer_dim=32, transformer=TwoWayTransformer(2, 32, 2, 24)))


def decode(decoder: nn.Module, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shapes = (1, 32, side, side), (1, 32, side, side), (3, 1, 32), (1, 32, side, side)
    image, pe, sparse, dense = (torch.randn(shape, generator=generator) for shape in shapes)
    return decoder(image, pe, sparse, dense.expand(3, -1, -1, -1), True)[0]


def assert_close(ours: Tensor, wanted: Tensor, unchanged: Tensor) -> None:
    size = wanted.abs().max()
    assert (wanted - unchanged).abs().max() > 1e-2 * size
    assert (ours - wanted).abs().max() <= 1e-5 * size


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("ending", ["attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"])
@pytest.mark.parametrize("touch", TOUCHES)
def test_of_the_encoder(encoder, touch, ending, training, monkeypatch):
    monkeypatch.setattr(grid_block, "TOKENS_PER_BAND", 6)
    image = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    ours = replaced(encoder, ending, TOUCHES[touch]).train(training)(image)
    assert_close(ours, replaced(encoder, ending, lambda layer: doubled(layer, touch))(image), encoder(image))


@torch.no_grad()
@pytest.mark.parametrize("ending", ["q_proj", "k_proj", "v_proj", "out_proj", "lin1"])
@pytest.mark.parametrize("touch", TOUCHES)
def test_of_the_decoder(decoder, touch, ending):
    changed = replaced(decoder, ending, TOUCHES[touch])
    before, after = (network.get_submodule("transformer") for network in (decoder, changed))
    assert may_absorb(before) and not may_absorb(after)
    wanted = decode(replaced(decoder, ending, lambda layer: doubled(layer, touch)))
    assert_close(decode(changed), wanted, decode(decoder))


@torch.no_grad()
@pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="no GPU: set TRITON_INTERPRET=1"
)
@pytest.mark.parametrize("touch", ["wrapper"])
def test_where_kernels_do_the_work(encoder, decoder, touch):
    device = "cpu" if INTERPRETED else "cuda"
    image = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2)).to(device)
    for network, ending, run in (
        (encoder, "attn.qkv", lambda network: network.to(device)(image)),
        (decoder, "k_proj", lambda network: decode(network, side=3)),
    ):
        changed = replaced(network, ending, TOUCHES[touch])
        merged = replaced(network, ending, lambda layer: doubled(layer, touch))
        with minisam.use_backend("triton"):
            ours, unchanged = run(changed), run(copy.deepcopy(network))
        assert_close(ours, run(merged), unchanged)


def test_dropout_that_was_left_on_is_not_passed_over(decoder):
    other = copy.deepcopy(decoder)
    transformer = other.get_submodule("transformer")
    transformer.get_submodule("layers.0.cross_attn_image_to_token").train()
    assert not is_in_evaluation(transformer) and not may_absorb(transformer)


@pytest.mark.parametrize("bias", [True, False])
def test_a_projection_without_bias(decoder, bias):
    other = copy.deepcopy(decoder)
    attention = other.get_submodule("transformer.final_attn_token_to_image")
    attention.v_proj = nn.Linear(32, 16, bias=bias).eval()
    assert may_absorb(other.get_submodule("transformer")) is bias
    assert decode(other).isfinite().all()


class NoMeanOverTheGrid(nn.Module):
    """Looks at all tokens at once, as an adapter with a convolution does."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=(1, 2), keepdim=True)


@torch.no_grad()
@pytest.mark.parametrize("ending", ["mlp", "norm1", "norm2"])
def test_what_looks_at_the_whole_grid_gets_the_whole_grid(encoder, ending, monkeypatch):
    image = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    changed = replaced(encoder, ending, lambda module: NoMeanOverTheGrid())
    wanted = changed(image)
    monkeypatch.setattr(grid_block, "TOKENS_PER_BAND", 6)
    assert changed(image).equal(wanted)
    seen = []
    encoder.blocks[0].norm2.register_forward_hook(lambda module, arguments, out: seen.append(out.shape))
    encoder(image)
    encoder.blocks[0].norm2._forward_hooks.clear()
    assert seen == [(2, 5, 5, 32)]


def test_an_upscaling_of_another_kind(decoder):
    upscaling = decoder.output_upscaling
    assert doubles_tokens(upscaling)
    others = {
        0: nn.ConvTranspose2d(32, 8, kernel_size=4, stride=2, padding=1),
        1: nn.GroupNorm(1, 8),
        2: nn.Softmax2d(),
        3: Wrapper(upscaling[3]),
    }
    for place, layer in others.items():
        other = copy.deepcopy(decoder)
        other.output_upscaling[place] = layer
        assert not doubles_tokens(other.output_upscaling)
        assert decode(other).shape == (3, 3, 64, 64)
    assert not doubles_tokens(upscaling[:3])


def test_a_subclass_that_predicts_masks_its_own_way_is_asked(decoder):
    class Opposite(MaskDecoder):
        def predict_masks(self, *prompts, **options):
            masks, ious = super().predict_masks(*prompts, **options)
            return -masks, ious

    other = Opposite(transformer_dim=32, transformer=TwoWayTransformer(2, 32, 2, 24)).eval()
    other.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(decode(other), -decode(decoder), rtol=1e-5, atol=1e-4)


def test_what_is_as_built():
    block = MLPBlock(4, 8)
    assert is_as_built(block, MLPBlock) and not is_as_built(block)
    assert is_affine(block.lin1) and not is_affine(Doubled(2, 2))
    block.lin1.register_full_backward_hook(lambda *arguments: None)
    assert not is_affine(block.lin1) and not is_untouched(block.lin1)
    handle = nn.modules.module.register_module_forward_hook(lambda *arguments: None)
    assert not is_untouched(block.lin2) and is_affine(block.lin2)
    handle.remove()
    assert is_untouched(block.lin2)


@torch.no_grad()
def test_who_listens_to_all_modules_sees_windows_of_the_unpadded_tokens(encoder):
    image = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    expected, seen = encoder(image), []
    windows = next(block for block in encoder.blocks if block.window_size > 0)

    def note(module, given, output):
        if module is windows.attn.qkv:
            seen.append(given[0].shape[1:3])

    handle = nn.modules.module.register_module_forward_hook(note)
    try:
        torch.testing.assert_close(encoder(image), expected, rtol=1e-5, atol=1e-5)
    finally:
        handle.remove()
    grid = 40 // encoder.patch_size
    assert seen == [(grid, grid)]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:torch.*deprecated")
def test_quantisers_find_the_encoders_layers(encoder):
    image = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    quantised = quantize_dynamic(encoder, {nn.Linear})
    kinds = [type(module) for module in quantised.modules()]
    layers = sum(isinstance(module, nn.Linear) for module in encoder.modules())
    assert kinds.count(DynamicLinear) == layers == 8
    error = (quantised(image) - encoder(image)).abs().max() / encoder(image).abs().max()
    assert error < 0.1


@torch.no_grad()
@pytest.mark.parametrize(
    "kind", [nn.Linear, nn.LayerNorm, Attention, MLPBlock, LayerNorm2d, nn.ConvTranspose2d]
)
def test_a_forward_given_to_a_class_is_called(decoder, kind, monkeypatch):
    calls, plain = [], kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, *a, **k: calls.append(self) or plain(self, *a, **k))
    decode(decoder)
    assert set(calls) >= {
        part
        for name, part in decoder.named_modules()
        if type(part) is kind and "mlps.0" not in name  # mask 0 is not requested
    }


@torch.no_grad()
def test_a_forward_given_to_the_class_of_blocks_parts_is_called(encoder, monkeypatch):
    monkeypatch.setattr(RelPosAttention, "forward", lambda self, x: torch.zeros_like(x), raising=False)
    monkeypatch.setattr(WindowAttention, "forward", lambda self, x: torch.zeros_like(x))
    image = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    nothing = copy.deepcopy(encoder)
    for block in nothing.blocks:
        block.attn = nn.Module()
        vars(block.attn)["forward"] = torch.zeros_like
    torch.testing.assert_close(encoder(image), nothing(image))


@torch.no_grad()
def test_what_listens_to_window_attention_sees_windows_as_in_segment_anything(encoder):
    image = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    wanted, changed, seen = encoder(image), copy.deepcopy(encoder), []
    attention = changed.blocks[0].attn
    attention.register_forward_hook(lambda module, inputs, out: seen.append((inputs[0].shape, out.shape)))
    torch.testing.assert_close(changed(image), wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())
    assert seen == [((4, 3, 3, 32), (4, 3, 3, 32))]


@torch.no_grad()
@pytest.mark.parametrize("touch", ["wrapper", "forward hook", "another forward"])
@pytest.mark.parametrize(
    "name",
    [
        "iou_token",
        "mask_tokens",
        "point_embeddings.1",
        "point_embeddings.2",
        "not_a_point_embed",
        "no_mask_embed",
    ],
)
def test_learned_tokens(touch, name):
    sam = minisam.build_sam("nano")
    part = "mask_decoder" if name in ("iou_token", "mask_tokens") else "prompt_encoder"
    touches = {
        "wrapper": Wrapper,
        "forward hook": forward_hook,
        "another forward": lambda table: (
            vars(table).update(forward=lambda rows: 2 * F.embedding(rows, table.weight)) or table
        ),
    }
    changed = replaced(sam, f"{part}.{name}", touches[touch])
    wanted = replaced(sam, f"{part}.{name}", lambda table: nn.Embedding.from_pretrained(2 * table.weight))
    points = torch.tensor([[[9.0, 20.0]]]), torch.tensor([[1]])

    def masks(network: minisam.Sam) -> Tensor:
        encoder, box = network.prompt_encoder, torch.tensor([[4.0, 4.0, 40.0, 30.0]])
        image = torch.randn(1, 96, 8, 8, generator=torch.Generator().manual_seed(0))
        decoded = [
            network.mask_decoder(image, encoder.get_dense_pe(), *encoder(points, prompt, None), True)[0]
            for prompt in (None, box)
        ]
        return torch.cat(decoded)

    assert_close(masks(changed), masks(wanted), masks(sam))


def test_a_linear_layer_is_affine_until_it_or_its_class_is_changed(monkeypatch):
    class Own(nn.Linear):
        pass

    layer = nn.Linear(3, 2)
    assert is_affine(layer) and is_affine(nn.Linear(3, 2, bias=False))
    assert not is_affine(Own(3, 2)) and not is_affine(nn.Identity())
    hook = layer.register_forward_hook(lambda *_: None)
    assert not is_affine(layer)
    hook.remove()
    assert is_affine(layer)
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x)
    assert not is_affine(layer)


@pytest.mark.parametrize(
    "register",
    [
        nn.Module.register_forward_hook,
        nn.Module.register_forward_pre_hook,
        nn.Module.register_full_backward_hook,
        nn.Module.register_full_backward_pre_hook,
    ],
)
def test_hooks_of_every_kind_are_seen_until_they_are_removed(register):
    layer = nn.Linear(4, 4).eval()
    hook = register(layer, lambda *arguments: None)
    assert not (is_untouched(layer) or has_nothing_attached(layer) or is_affine(layer))
    assert not is_as_built(nn.Sequential(layer), nn.Sequential)
    hook.remove()
    assert is_untouched(layer) and has_nothing_attached(layer) and is_affine(layer)
    assert is_as_built(nn.Sequential(layer), nn.Sequential)

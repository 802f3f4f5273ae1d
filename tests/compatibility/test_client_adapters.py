"""Code that replaces segment-anything's layers by its own modules, the same on both sides.

Every wrapper is drawn from a seed and does something, and the twins must still agree: in evaluation, where minisam has
faster ways that read weights, and in training, with gradients for what was added.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compatibility.surface import IMAGE, ours, sams, theirs
from parity.oracle import SMALL, assert_same, random
from torch import Tensor, nn

SIZE, E, GRID = SMALL.image_size, SMALL.prompt_dim, SMALL.image_size // SMALL.patch_size
DIM = SMALL.encoder_dim
PROMPTS = 8
TOLERANCE = 1e-4


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """The module with its own weights drawn from a seed, at a scale that shows."""
    for number, parameter in enumerate(module.parameters()):
        parameter.data.copy_(random(seed + number, *parameter.shape, scale=0.1))
    return module


class LoRAQkv(nn.Module):
    """Low-rank changes of q and v, added in place; it has no `weight` and no `bias`."""

    def __init__(self, qkv: nn.Module, seed: int) -> None:
        super().__init__()
        self.qkv, self.dim = qkv, DIM
        self.a_q, self.b_q = (
            drawn(nn.Linear(DIM, 4, bias=False), seed),
            drawn(nn.Linear(4, DIM, bias=False), seed + 1),
        )
        self.a_v, self.b_v = (
            drawn(nn.Linear(DIM, 4, bias=False), seed),
            drawn(nn.Linear(4, DIM, bias=False), seed + 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        qkv[:, :, :, : self.dim] += self.b_q(self.a_q(x))
        qkv[:, :, :, -self.dim :] += self.b_v(self.a_v(x))
        return qkv


class LoRAProjection(nn.Module):
    """A projection plus a low-rank one."""

    def __init__(self, projection: nn.Linear, seed: int) -> None:
        super().__init__()
        self.projection = projection
        self.a = drawn(nn.Linear(projection.in_features, 4, bias=False), seed)
        self.b = drawn(nn.Linear(4, projection.out_features, bias=False), seed + 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x) + self.b(self.a(x))


class FacT(nn.Module):
    """The same factors u and v for all layers, a small matrix of each layer between them."""

    def __init__(self, qkv: nn.Module, seed: int) -> None:
        super().__init__()
        self.qkv = qkv
        self.u, self.v = drawn(nn.Linear(DIM, 4, bias=False), 1), drawn(nn.Linear(4, DIM, bias=False), 2)
        self.q, self.k = (
            drawn(nn.Linear(4, 4, bias=False), seed),
            drawn(nn.Linear(4, 4, bias=False), seed + 1),
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        u = self.u(x)
        qkv[:, :, :, :DIM] += self.v(self.dropout(self.q(u)))
        qkv[:, :, :, -DIM:] += self.v(self.dropout(self.k(u)))
        return qkv


class ScaleAndShift(nn.Module):
    """SSF: every channel of a layer's output gets a factor and a summand."""

    def __init__(self, layer: nn.Module, channels: int, seed: int, axis: int = -1) -> None:
        super().__init__()
        self.layer, self.axis = layer, axis
        self.scale = nn.Parameter(1 + random(seed, channels, scale=0.1))
        self.shift = nn.Parameter(random(seed + 1, channels, scale=0.1))

    def forward(self, x: Tensor) -> Tensor:
        shape = [1] * 4
        shape[self.axis] = -1
        return self.layer(x) * self.scale.view(shape) + self.shift.view(shape)


class AdaptMlp(nn.Module):
    """AdaptFormer: a narrow branch beside the block's perceptron."""

    def __init__(self, mlp: nn.Module, seed: int) -> None:
        super().__init__()
        self.mlp = mlp
        self.down, self.up = drawn(nn.Linear(DIM, 4), seed), drawn(nn.Linear(4, DIM), seed + 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x) + 0.1 * self.up(F.relu(self.down(x)))


def lora(encoder: Any) -> None:
    for seed, block in enumerate(encoder.blocks):
        block.attn.qkv = LoRAQkv(block.attn.qkv, 10 * seed)


def fact(encoder: Any) -> None:
    for seed, block in enumerate(encoder.blocks):
        block.attn.qkv = FacT(block.attn.qkv, 10 * seed)


def ssf(encoder: Any) -> None:
    encoder.patch_embed.proj = ScaleAndShift(encoder.patch_embed.proj, DIM, 1, axis=1)
    for seed, block in enumerate(encoder.blocks):
        block.attn.qkv = ScaleAndShift(block.attn.qkv, 3 * DIM, 10 * seed)
        block.attn.proj = ScaleAndShift(block.attn.proj, DIM, 10 * seed + 2)
        block.mlp.lin1 = ScaleAndShift(block.mlp.lin1, 4 * DIM, 10 * seed + 4)
        block.norm1 = ScaleAndShift(block.norm1, DIM, 10 * seed + 6)


def adaptformer(encoder: Any) -> None:
    for seed, block in enumerate(encoder.blocks):
        block.mlp = AdaptMlp(block.mlp, 10 * seed)


def lora_on_every_layer(encoder: Any) -> None:
    for seed, block in enumerate(encoder.blocks):
        for parent, name in (
            (block.attn, "qkv"),
            (block.attn, "proj"),
            (block.mlp, "lin1"),
            (block.mlp, "lin2"),
        ):
            setattr(parent, name, LoRAProjection(getattr(parent, name), 10 * seed))


def nothing(encoder: Any) -> None:
    """Only freezing: what is trained are parts of the encoder as they are."""


def frozen_but(encoder: Any, *parts: str) -> list[str]:
    """Freeze all parameters but those whose names have one of the parts, and return these names."""
    trained = []
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad = any(part in name for part in parts)
        trained += [name] if parameter.requires_grad else []
    return trained


SURGERY: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "LoRA": (lora, (".a_", ".b_")),
    "FacT": (fact, (".u.", ".v.", ".q.", ".k.")),
    "SSF": (ssf, ("scale", "shift")),
    "AdaptFormer": (adaptformer, (".down.", ".up.")),
    "LoRA on every layer": (lora_on_every_layer, (".a.", ".b.")),
    "attention": (nothing, (".attn.",)),
    "biases": (nothing, ("bias",)),
    "layer norms": (nothing, ("norm1", "norm2")),
}


def train_and_evaluate(network: Any, *inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The result without gradients, and the gradients of what is trained."""
    with torch.no_grad():
        result = network(*inputs)
    out = network(*inputs)
    first, result = (one[0] if isinstance(one, tuple) else one for one in (out, result))
    first.square().mean().backward()
    return result, {name: p.grad for name, p in network.named_parameters() if p.requires_grad}


def assert_the_same_training(ours: Any, theirs: Any) -> None:
    assert_same(ours[0], theirs[0], TOLERANCE)
    assert ours[1].keys() == theirs[1].keys() and theirs[1]
    for name, gradient in theirs[1].items():
        scale = gradient.abs().max()
        assert (ours[1][name] - gradient).abs().max() <= 1e-3 * scale + 1e-7, name


@pytest.mark.parametrize("name", SURGERY)
def test_surgery_on_the_encoder(name):
    surgery, parts = SURGERY[name]
    x, outcomes = random(1, 1, 3, SIZE, SIZE), []
    for sam in copy.deepcopy(sams()):
        before = sam.image_encoder(x).detach()
        surgery(sam.image_encoder)
        assert frozen_but(sam.image_encoder, *parts)
        outcomes.append(train_and_evaluate(sam.image_encoder.eval(), x))
        assert (surgery is nothing) == torch.allclose(outcomes[-1][0], before, atol=1e-3)
    assert_the_same_training(*outcomes)


def test_lora_on_qkv():
    """The encoder's blocks, and then a click through the predictor."""
    found = []
    for side, sam in zip((ours, theirs), copy.deepcopy(sams()), strict=True):
        lora(sam.image_encoder)
        predictor = side("predictor").SamPredictor(sam)
        predictor.set_image(IMAGE)
        found.append(predictor.predict(np.array([[30.0, 20.0]]), np.array([1]), return_logits=True))
    assert_same(*found, tolerance=TOLERANCE)


def decoder_inputs() -> tuple[Any, ...]:
    grid = (E, GRID, GRID)
    dense = random(4, 1, E, 1, 1).expand(PROMPTS, *grid)
    return random(1, 1, *grid), random(2, 1, *grid), random(3, PROMPTS, 3, E), dense, True


def test_lora_on_decoder_projections():
    """q and v of every attention of the two-way transformer and of the last one."""
    outcomes = []
    for sam in copy.deepcopy(sams()):
        transformer = sam.mask_decoder.transformer
        attentions = [transformer.final_attn_token_to_image]
        for layer in transformer.layers:
            attentions += [layer.self_attn, layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
        for seed, attention in enumerate(attentions):
            attention.q_proj = LoRAProjection(attention.q_proj, 10 * seed)
            attention.v_proj = LoRAProjection(attention.v_proj, 10 * seed + 5)
        frozen_but(sam.mask_decoder, ".a.", ".b.")
        outcomes.append(train_and_evaluate(sam.mask_decoder.eval(), *decoder_inputs()))
    assert_the_same_training(*outcomes)


PEFT = {
    "the encoder's qkv": ("image_encoder", ["qkv"], {}),
    "the encoder's qkv, DoRA": ("image_encoder", ["qkv"], {"use_dora": True}),
    "the encoder's layers": ("image_encoder", ["qkv", "proj", "lin1", "lin2"], {}),
    **{
        f"the decoder's {name}": ("mask_decoder", [name], {})
        for name in ("q_proj", "k_proj", "v_proj", "out_proj")
    },
    "the decoder's perceptrons": ("mask_decoder", ["lin1", "lin2"], {}),
    "the decoder's projections": ("mask_decoder", ["q_proj", "k_proj", "v_proj", "out_proj"], {}),
}


@pytest.mark.parametrize("name", PEFT)
def test_peft(name):
    """Training, evaluation and what is left after merging: all the same as around the original."""
    peft = pytest.importorskip("peft", reason="pip install peft")
    part, targets, options = PEFT[name]
    inputs = (random(1, 1, 3, SIZE, SIZE),) if part == "image_encoder" else decoder_inputs()
    outcomes, state = [], {}
    for sam in copy.deepcopy(sams()):
        torch.manual_seed(0)
        if name == "the encoder's layers":  # the convolution of the patches is called proj as well
            targets = [f"{n}" for n, m in sam.image_encoder.named_modules() if type(m) is not nn.Conv2d]
            targets = [n for n in targets if n.rpartition(".")[2] in ("qkv", "proj", "lin1", "lin2")]
        config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False, **options)
        network = peft.get_peft_model(getattr(sam, part), config).eval()
        state = state or {key: value.clone() for key, value in network.state_dict().items()}
        network.load_state_dict(state)
        result, gradients = train_and_evaluate(network, *inputs)
        outcomes.append((result, gradients))
        with torch.no_grad():
            merged = network.merge_and_unload().eval()(*inputs)
        assert_same(merged[0] if isinstance(merged, tuple) else merged, result, TOLERANCE)
    assert_the_same_training(*outcomes)

import pytest
import torch
from torch import nn

from minisam.config import CONFIGS, build_from_config
from minisam.train.optimizer import (
    build_optimizers,
    has_weight_decay,
    layer_of,
    parameters_of,
    set_learning_rate,
    warm_then_cosine,
)


@pytest.fixture(scope="module")
def nano():
    return build_from_config(CONFIGS["nano"])


def rates(optimizers):
    return {
        id(p): group["base_lr"]
        for optimizer in optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("muon_lr", [None, 3e-3])
def test_every_parameter_is_in_one_group(nano, muon_lr):
    optimizers = build_optimizers(nano, 1e-3, 0.1, 0.8, depth=4, muon_lr=muon_lr)
    grouped = [id(p) for optimizer in optimizers for g in optimizer.param_groups for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in nano.parameters())


def test_muon_trains_the_matrices_of_linear_layers_and_nothing_else(nano):
    _, muon = build_optimizers(nano, 1e-3, 0.1, 1.0, depth=4, muon_lr=3e-3)
    trained = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in nano.named_parameters() if id(p) in trained}
    assert {
        "image_encoder.blocks.0.attn.qkv.weight",
        "mask_decoder.iou_prediction_head.layers.0.weight",
    } <= names
    assert all(name.endswith("weight") for name in names)
    for kept_apart in ("patch_embed", "neck", "upscaling", "tokens", "norm", "embeddings", "rel_pos"):
        assert not any(kept_apart in name for name in names), kept_apart
    assert all(group["base_lr"] == 3e-3 for group in muon.param_groups)


@pytest.mark.parametrize("muon_lr", [None, 3e-3])
def test_layer_decay_follows_the_formula(nano, muon_lr):
    rate = rates(build_optimizers(nano, 1e-3, 0.1, 0.8, depth=4, muon_lr=muon_lr))
    parameters = dict(nano.named_parameters())
    for name, base, factor in (
        ("image_encoder.patch_embed.proj.weight", 1e-3, 0.8**5),
        ("image_encoder.pos_embed", 1e-3, 0.8**5),
        ("image_encoder.blocks.0.attn.qkv.weight", muon_lr or 1e-3, 0.8**4),
        ("image_encoder.blocks.3.mlp.lin1.weight", muon_lr or 1e-3, 0.8),
        ("image_encoder.neck.0.weight", 1e-3, 1.0),
        ("mask_decoder.iou_token.weight", 1e-3, 1.0),
    ):
        assert rate[id(parameters[name])] == pytest.approx(base * factor), name


def test_what_decays(nano):
    """All weights of linear layers and convolutions do, those of the decoder's attention to and from tokens too."""
    decays = {name for name, p in nano.named_parameters() if has_weight_decay(name, p)}
    layers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    assert decays == {f"{name}.weight" for name, one in nano.named_modules() if isinstance(one, layers)}
    assert "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight" in decays


@pytest.mark.parametrize("name", ["mask_token", "encoder.cls_token", "hf_token.weight", "mask_tokens.weight"])
def test_no_learned_token_decays(name):
    assert not has_weight_decay(name, nn.Parameter(torch.zeros(4, 8)))


def test_layer_of_reads_block_numbers_with_two_digits():
    assert layer_of("image_encoder.blocks.11.norm1.weight", depth=12) == 12


def test_learning_rate_warms_up_and_steps_down(nano):
    optimizers = build_optimizers(nano, 1e-3, 0.1, 1.0, depth=4, muon_lr=3e-3)
    factors = [
        set_learning_rate(optimizers, step, 90, 10, (2 / 3, 0.96)) for step in (0, 4, 9, 59, 60, 86, 87)
    ]
    assert factors == pytest.approx([0.1, 0.5, 1, 1, 0.1, 0.1, 0.01])
    adamw, muon = optimizers
    assert adamw.param_groups[0]["lr"] == pytest.approx(1e-5)
    assert muon.param_groups[0]["lr"] == pytest.approx(3e-5)


def test_a_linear_decay_ends_at_nothing(nano):
    optimizers = build_optimizers(nano, 1e-3, 0.05, 1.0, 4, 3e-3)
    factors = [set_learning_rate(optimizers, step, 100, 10, linear_decay=True) for step in (0, 9, 50, 75, 99)]
    assert factors == pytest.approx([0.1, 0.91, 0.5, 0.25, 0.01])


@pytest.mark.parametrize("muon_lr", [None, 3e-3])
def test_what_decays_does_so_by_the_share_asked_for_and_the_rest_not_at_all(nano, muon_lr):
    names = {id(p): name for name, p in nano.named_parameters()}
    for optimizer in build_optimizers(nano, 1e-3, 0.125, 0.8, depth=4, muon_lr=muon_lr):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                decays = has_weight_decay(names[id(parameter)], parameter)
                assert group["weight_decay"] == (0.125 if decays else 0.0), names[id(parameter)]


def test_adamw_has_the_papers_betas_and_what_is_frozen_is_left_out(nano):
    nano.mask_decoder.iou_token.requires_grad_(False)
    try:
        optimizers = build_optimizers(nano, 1e-3, 0.1, 1.0, depth=4)
        trained = {id(p) for p in parameters_of(optimizers)}
        assert trained == {id(p) for p in nano.parameters()} - {id(nano.mask_decoder.iou_token.weight)}
    finally:
        nano.mask_decoder.iou_token.requires_grad_(True)
    (adamw,) = optimizers
    assert {group["betas"] for group in adamw.param_groups} == {(0.9, 0.999)}


def test_without_warm_up_the_rate_is_full_at_once(nano):
    optimizers = build_optimizers(nano, 1e-3, 0.1, 1.0, depth=4)
    assert set_learning_rate(optimizers, 0, 10, warmup=0) == 1
    assert set_learning_rate(optimizers, 0, 10, warmup=1) == 1
    assert set_learning_rate(optimizers, 0, 10, warmup=2) == 0.5


def test_the_rate_rises_in_a_line_and_falls_by_half_a_cosine():
    rates = [warm_then_cosine(step, 110, 10) for step in (0, 4, 9, 10, 60, 110)]
    assert rates == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0])
    assert warm_then_cosine(0, 1, 1) == 1

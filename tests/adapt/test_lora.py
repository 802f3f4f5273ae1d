"""LoRA: nothing at the start, the published parameter counts, peft's numbers, and merging there and back."""

from __future__ import annotations

import peft
import pytest
import torch
from small_networks import outputs, small_sam
from torch import nn

from minisam.adapt.lora import LoraLinear, add_lora, merge_lora, unmerge_lora
from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError

EVERYWHERE = {"on": ("q", "k", "v", "proj", "mlp"), "decoder": True}


def fill(sam, seed: int = 2) -> None:
    """Updates as after some training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in sam.modules():
            if isinstance(module, LoraLinear):
                module.lora_b.normal_(0, 0.2, generator=generator)


@pytest.mark.parametrize("given", [{}, EVERYWHERE])
def test_a_network_that_gets_lora_is_the_same_to_the_bit(given):
    plain, adapted = small_sam(), small_sam()
    add_lora(adapted, **given)
    with torch.no_grad():
        for one, other in zip(outputs(plain), outputs(adapted), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("model", "given", "count"),
    [
        ("tiny", {}, 18_432),
        ("nano", {}, 6_144),
        ("vit_b", {}, 147_456),
        ("vit_l", {}, 393_216),
        ("vit_h", {}, 655_360),
        ("vit_b", {"on": (), "decoder": True}, 23_552),
        ("tiny", {"on": (), "decoder": True}, 8_832),
    ],
)
def test_the_number_of_trained_parameters(model, given, count):
    with torch.device("meta"):
        sam = build_from_config(CONFIGS[model])
        names = add_lora(sam, **given)
    assert sum(parameter.numel() for parameter in sam.parameters() if parameter.requires_grad) == count
    assert names == [name for name, parameter in sam.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name for name in names)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("on", ["q", "k", "v", "proj", "mlp", "decoder"])
@pytest.mark.parametrize("prompts", [1, 5])
def test_every_update_counts_on_every_path(on, training, prompts):
    sam = small_sam().train(training)
    with torch.no_grad():
        before = outputs(sam, prompts=prompts)
        add_lora(sam, on=() if on == "decoder" else (on,), decoder=on == "decoder")
        fill(sam)
        after = outputs(sam, prompts=prompts)
    changed = [not torch.allclose(one, other, atol=1e-4) for one, other in zip(before, after, strict=True)]
    assert changed == [on != "decoder", True, True]


@pytest.mark.parametrize("blocks", [None, [2], [0, 1]])
def test_gradients_reach_the_updates_and_nothing_else(blocks):
    sam = small_sam().train()
    names = add_lora(sam, blocks=blocks, decoder=True)
    fill(sam)
    _, masks, ious = outputs(sam)
    (masks.square().mean() + ious.square().mean()).backward()
    with_gradient = [name for name, parameter in sam.named_parameters() if parameter.grad is not None]
    assert with_gradient == names
    adapted = {name.split(".")[2] for name in names if name.startswith("image_encoder")}
    assert adapted == {str(index) for index in (range(3) if blocks is None else blocks)}


def test_q_and_v_of_a_fused_layer_equal_pefts_lora_of_twice_the_rank():
    """peft: A = [A_q; A_v], B = the rows of q from B_q, of k 0, of v from B_v."""
    generator = torch.Generator().manual_seed(3)
    layer, rank, dim = nn.Linear(12, 18).double(), 3, 6
    ours = LoraLinear(layer, rank, scale=0.5, parts=(0, 2), out_of=3)
    with torch.no_grad():
        ours.lora_b.normal_(generator=generator)
    config = peft.LoraConfig(r=2 * rank, lora_alpha=rank, target_modules=["0"])
    theirs = peft.inject_adapter_in_model(config, nn.Sequential(nn.Linear(12, 18).double()))
    theirs.load_state_dict(
        {
            "0.base_layer.weight": layer.weight,
            "0.base_layer.bias": layer.bias,
            "0.lora_A.default.weight": ours.lora_a.flatten(0, 1),
            "0.lora_B.default.weight": torch.cat(
                [
                    torch.cat([ours.lora_b[0], torch.zeros(dim, rank)], dim=1),
                    torch.zeros(dim, 2 * rank),
                    torch.cat([torch.zeros(dim, rank), ours.lora_b[1]], dim=1),
                ]
            ),
        }
    )
    ours_x, theirs_x = (
        torch.randn(
            4, 5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4)
        ).requires_grad_()
        for _ in range(2)
    )
    torch.testing.assert_close(ours(ours_x), theirs(theirs_x), atol=1e-12, rtol=0)
    ours(ours_x).square().sum().backward()
    theirs(theirs_x).square().sum().backward()
    torch.testing.assert_close(ours_x.grad, theirs_x.grad, atol=1e-10, rtol=1e-10)
    of_a = theirs.get_parameter("0.lora_A.default.weight").grad
    torch.testing.assert_close(ours.lora_a.grad.flatten(0, 1), of_a, atol=1e-10, rtol=1e-10)
    of_b = theirs.get_parameter("0.lora_B.default.weight").grad
    torch.testing.assert_close(ours.lora_b.grad[1], of_b[2 * dim :, rank:], atol=1e-10, rtol=1e-10)


def test_merged_it_is_a_plain_network_with_the_same_output_and_unmerged_the_same_to_the_bit():
    sam = small_sam()
    add_lora(sam, scale=2.0, **EVERYWHERE)
    fill(sam)
    with torch.no_grad():
        before = outputs(sam)
        weights = {name: tensor.clone() for name, tensor in sam.state_dict().items()}
        adapted = merge_lora(sam)
        assert not any(isinstance(module, LoraLinear) for module in sam.modules())
        frozen = [sam.get_submodule(path).weight.requires_grad for path in adapted]
        assert frozen and not any(frozen)
        assert sam.state_dict().keys() == small_sam().state_dict().keys()
        for one, other in zip(before, outputs(sam), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
        unmerge_lora(sam, adapted)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in sam.state_dict().items())


def test_an_update_that_is_not_finite_is_not_merged():
    sam = small_sam()
    add_lora(sam)
    layer = sam.image_encoder.blocks[1].attn.qkv
    with torch.no_grad():
        layer.lora_b[1, 0, 0] = float("inf")
    with pytest.raises(MinisamError, match=r"blocks\.1\.attn\.qkv .* not finite"):
        merge_lora(sam)
    assert sam.image_encoder.blocks[0].attn.qkv.rank == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"on": ("q", "qkv")}, "not on qkv"),
        ({"blocks": [0, 3]}, "blocks 0 to 2, not 3"),
        ({"blocks": [-1]}, "not -1"),
    ],
)
def test_what_cannot_be_adapted(given, message):
    with pytest.raises(MinisamError, match=message):
        add_lora(small_sam(), **given)


def test_what_is_adapted_already_is_not_adapted_again():
    sam = small_sam()
    add_lora(sam)
    with pytest.raises(MinisamError, match="LoraLinear"):
        add_lora(sam)


def test_a_rank_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        LoraLinear(nn.Linear(2, 2), 0)


def test_a_is_drawn_part_by_part():
    """Kaiming-uniform with the fan of the input: |a| <= 1 / √in, for each part on its own."""
    layer = LoraLinear(nn.Linear(10_000, 6), 4, parts=(0, 2), out_of=3)
    assert layer.lora_a.abs().max() <= 0.01 and layer.lora_a.std().item() == pytest.approx(
        0.01 / 3**0.5, rel=0.05
    )
    assert not torch.equal(layer.lora_a[0], layer.lora_a[1])


def test_an_adapted_layer_says_what_its_base_is():
    base = nn.Linear(5, 6)
    layer = LoraLinear(base, 2, parts=(0, 2), out_of=3)
    assert layer.weight is base.weight and layer.bias is base.bias
    assert (layer.in_features, layer.out_features) == (5, 6)
    assert not base.weight.requires_grad and not base.bias.requires_grad
    bound = 1 / 5**0.5  # Kaiming's with a = sqrt(5), as of nn.Linear
    assert layer.lora_a.shape == (2, 2, 5) and layer.lora_b.shape == (2, 2, 2) and not layer.lora_b.any()
    many = LoraLinear(nn.Linear(5, 6), 2000).lora_a
    assert 0.99 * bound < many.abs().max() <= bound


@pytest.mark.parametrize(("rank", "scale"), [(2, 0.25), (4, 3.0)])
def test_every_update_has_the_rank_and_the_scale(rank, scale):
    """In the image encoder and in the mask decoder."""
    sam = small_sam()
    add_lora(sam, rank, scale, **EVERYWHERE)
    layers = {path: layer for path, layer in sam.named_modules() if isinstance(layer, LoraLinear)}
    assert {path.partition(".")[0] for path in layers} == {"image_encoder", "mask_decoder"}
    assert {(layer.rank, layer.scale) for layer in layers.values()} == {(rank, scale)}


@pytest.mark.parametrize("parts", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_an_update_is_what_the_layer_adds_and_nothing_in_the_rows_of_other_parts(parts):
    torch.manual_seed(0)
    layer = LoraLinear(nn.Linear(5, 12), 2, 0.5, parts, 3)
    nn.init.normal_(layer.lora_b)
    update = layer.update()
    torch.testing.assert_close(update, layer(torch.eye(5)).T - layer.base(torch.eye(5)).T)
    for part in range(3):
        assert update[4 * part : 4 * part + 4].any() == (part in parts)

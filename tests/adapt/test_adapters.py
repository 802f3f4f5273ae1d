"""Adapters change nothing at the start; what is trained, and how large it is."""

from __future__ import annotations

import pytest
import torch
from small_networks import outputs, small_sam

from minisam.adapt.adapters import AdaptedBlock, add_adapters
from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError
from minisam.model.image_encoder import Block


def test_the_network_is_the_same_until_something_is_learned():
    plain, adapted = small_sam(), small_sam()
    add_adapters(adapted)
    with torch.no_grad():
        for one, other in zip(outputs(plain), outputs(adapted), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
        for block in adapted.image_encoder.blocks:
            before = outputs(adapted)[0]
            block.adapter1.up.weight.normal_(0, 0.1)
            halfway = outputs(adapted)[0]
            block.adapter2.up.bias.normal_(0, 0.1)
            assert not torch.allclose(before, halfway) and not torch.allclose(halfway, outputs(adapted)[0])


def test_the_published_initialisation_changes_it_at_once():
    plain, adapted = small_sam(), small_sam()
    add_adapters(adapted, zero=False)
    with torch.no_grad():
        assert not torch.allclose(outputs(plain)[0], outputs(adapted)[0], atol=1e-3)


@pytest.mark.parametrize(("model", "count"), [("tiny", 224_064), ("vit_b", 7_100_928)])
def test_the_number_of_trained_parameters(model, count):
    with torch.device("meta"):
        sam = build_from_config(CONFIGS[model])
        add_adapters(sam, decoder=False)
    assert sum(parameter.numel() for parameter in sam.parameters() if parameter.requires_grad) == count


def test_the_block_is_its_equation():
    sam = small_sam()
    add_adapters(sam, blocks=[0], zero=False)
    block, x = sam.image_encoder.blocks[0], torch.randn(1, 6, 6, 32)
    with torch.no_grad():
        a = block.attend(block.norm1(x))
        after = x + a + block.adapter1(a)
        n = block.norm2(after)
        expected = after + block.mlp(n) + 0.5 * block.adapter2(n)
        torch.testing.assert_close(block(x), expected)
    assert [type(each) is AdaptedBlock for each in sam.image_encoder.blocks] == [True, False, False]


@pytest.mark.parametrize("decoder", [True, False])
def test_gradients_reach_adapters_and_decoder_alone(decoder):
    sam = small_sam().train()
    names = add_adapters(sam, decoder=decoder, zero=False)
    outputs(sam)[1].square().mean().backward()
    with_gradient = {name for name, parameter in sam.named_parameters() if parameter.grad is not None}
    assert with_gradient <= set(names)
    assert {name for name in names if "adapter" in name} <= with_gradient
    assert any(name.startswith("mask_decoder") for name in with_gradient) == decoder


def test_old_parameters_keep_their_names():
    sam, plain = small_sam(), small_sam()
    add_adapters(sam)
    assert plain.state_dict().keys() <= sam.state_dict().keys()


def test_a_block_takes_adapters_once():
    sam = small_sam()
    add_adapters(sam, blocks=[1])
    with pytest.raises(MinisamError, match="block 1 is already a AdaptedBlock"):
        add_adapters(sam)
    with pytest.raises(MinisamError, match="blocks 0 to 2, not 3"):
        add_adapters(small_sam(), blocks=[3])


def test_drop_path_leaves_out_a_branch_with_its_adapter():
    """At a rate near 1 nothing of either branch is left, for any output of the adapters."""
    block = AdaptedBlock(Block(24, 2, use_rel_pos=True, window_size=4, drop_path_rate=1 - 1e-7), zero=False)
    tokens = torch.randn(3, 6, 6, 24)
    assert block.train()(tokens).equal(tokens)
    assert not block.eval()(tokens).allclose(tokens)

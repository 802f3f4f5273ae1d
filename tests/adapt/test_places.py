"""Recipes leave the right parts to be trained, and what is frozen stays in evaluation mode."""

from __future__ import annotations

import pytest
from small_networks import small_sam
from torch import nn

from minisam.adapt.places import freeze, replace_module, set_training
from minisam.errors import MinisamError


def parts(names: list[str]) -> set[str]:
    return {".".join(name.split(".")[: 3 if "blocks" in name else 2]) for name in names}


def test_what_each_recipe_trains():
    sam = small_sam()
    everything = {name for name, _ in sam.named_parameters()}
    tokens = {"mask_decoder.iou_token.weight", "mask_decoder.mask_tokens.weight"}
    assert set(freeze(sam, "token")) == tokens
    iou_head = {name for name in everything if name.startswith("mask_decoder.iou_prediction_head.")}
    assert set(freeze(sam, "iou")) == iou_head and iou_head
    decoder = {name for name in everything if name.startswith("mask_decoder.")}
    assert set(freeze(sam, "decoder")) == decoder
    late = set(freeze(sam, "late", late=1)) - decoder
    assert parts(sorted(late)) == {"image_encoder.blocks.2", "image_encoder.neck"}
    assert set(freeze(sam, "full")) == everything


@pytest.mark.parametrize(
    ("given", "message"), [(("head",), "no recipe 'head'"), (("late", 4), "3 blocks, not 4")]
)
def test_other_recipes_are_refused(given, message):
    with pytest.raises(MinisamError, match=message):
        freeze(small_sam(), *given)


def test_late_blocks_are_two_unless_given_and_may_be_all():
    for arguments, blocks in ((("late",), {1, 2}), (("late", 3), {0, 1, 2}), (("late", 0), set())):
        names = freeze(small_sam(), *arguments)
        found = {int(name.split(".")[2]) for name in names if name.startswith("image_encoder.blocks.")}
        assert found == blocks


def test_frozen_parts_stay_in_evaluation_mode():
    sam = small_sam()
    freeze(sam, "late", late=1)
    set_training(sam)
    assert sam.training and sam.mask_decoder.transformer.layers[0].training
    assert not sam.prompt_encoder.training and not sam.image_encoder.patch_embed.training
    assert [block.training for block in sam.image_encoder.blocks] == [False, False, True]
    assert (
        not sam.image_encoder.blocks[0].drop_path.training and sam.image_encoder.blocks[2].drop_path.training
    )
    set_training(sam, False)
    assert not any(module.training for module in sam.modules())


def test_a_module_takes_the_place_and_the_mode_of_another():
    sam = small_sam().train()
    replace_module(sam, "mask_decoder.iou_prediction_head", nn.Identity().eval())
    assert isinstance(sam.mask_decoder.iou_prediction_head, nn.Identity)
    assert sam.mask_decoder.iou_prediction_head.training

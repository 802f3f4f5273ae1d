"""A network that has grown computes what the small one did, and nothing else can grow."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minisam.config import SamConfig, build_from_config
from minisam.errors import CheckpointError
from minisam.train.grow import blocks_taken, grow

SMALL = SamConfig(
    encoder_dim=32,
    encoder_depth=4,
    encoder_heads=2,
    global_attn_indexes=(1, 3),
    image_size=32,
    patch_size=8,
    window_size=2,
    prompt_dim=16,
    decoder_heads=2,
    decoder_mlp_dim=16,
    iou_head_hidden_dim=16,
)
LARGE = replace(SMALL, encoder_depth=6, global_attn_indexes=(1, 4, 5), image_size=64)


@pytest.fixture
def small():
    torch.manual_seed(0)
    sam = build_from_config(SMALL)
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return sam


def test_the_output_is_that_of_the_small_network_on_larger_images(small):
    grown = grow(small.train(), LARGE)
    assert not grown.training
    small.eval().set_image_size(64)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(grown.image_encoder(image), small.image_encoder(image))
        points = torch.tensor([[[20.0, 31.0]]]), torch.tensor([[1]])
        prompts, others = grown.prompt_encoder(points, None, None), small.prompt_encoder(points, None, None)
        embedding = small.image_encoder(image)
        results = [
            sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), *given, multimask_output=True)
            for sam, given in ((grown, prompts), (small, others))
        ]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_new_blocks_learn_and_old_ones_keep_their_weights(small):
    grown = grow(small, LARGE).train()
    grown.image_encoder(torch.randn(1, 3, 64, 64)).square().sum().backward()
    kept = {0: 0, 1: 1, 2: 2, 4: 3}
    for index, block in enumerate(grown.image_encoder.blocks):
        of_block = dict(block.named_parameters())
        assert all(parameter.grad is not None for parameter in of_block.values())
        assert of_block["attn.proj.weight"].grad.abs().max() > 0
        if index in kept:
            old = dict(small.image_encoder.blocks[kept[index]].named_parameters())
            assert torch.equal(of_block["mlp.lin1.weight"], old["mlp.lin1.weight"])
            assert of_block["attn.proj.weight"].abs().max() > 0
        else:
            assert not of_block["attn.proj.weight"].any() and not of_block["mlp.lin2.bias"].any()
            assert of_block["attn.qkv.weight"].abs().max() > 0


def test_a_new_block_needs_one_of_its_kind_before_it():
    with pytest.raises(CheckpointError, match="fewer blocks"):
        blocks_taken([False], replace(SMALL, encoder_depth=2, global_attn_indexes=(1,)))


def test_where_the_new_blocks_go():
    kinds = [False, True, False, True]
    assert blocks_taken(kinds, LARGE) == [
        (0, False),
        (1, False),
        (2, False),
        (2, True),
        (3, False),
        (3, True),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_depth": 3, "global_attn_indexes": (1,)},
        {"global_attn_indexes": (0, 2)},
        {"encoder_dim": 64},
        {"prompt_dim": 32},
        {"decoder_mlp_dim": 32},
        {"decoder_depth": 3},
    ],
)
def test_what_cannot_grow_says_so(small, change):
    with pytest.raises(CheckpointError, match="cannot grow"):
        grow(small, replace(LARGE, **change))


def test_block_10_is_not_block_1():
    deep = replace(SMALL, encoder_depth=11, global_attn_indexes=(10,))
    torch.manual_seed(0)
    sam = build_from_config(deep)
    grown = grow(sam, replace(deep, image_size=64))
    for name, value in sam.image_encoder.blocks.state_dict().items():
        found = grown.image_encoder.blocks.state_dict()[name]
        assert found.shape != value.shape or found.equal(value), name

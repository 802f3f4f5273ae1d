"""Two networks with one set of random weights, drawn from a seed, in which nothing is zero or the identity."""

from __future__ import annotations

import pytest
import torch
from small_networks import SMALL

from minisam.bench.original import INSTALL_COMMAND, is_installed
from minisam.bench.twins import build_twins, randomise
from minisam.config import build_from_config


@pytest.mark.skipif(not is_installed(), reason=INSTALL_COMMAND)
def test_twins_have_the_weights_of_their_seed():
    for seed in (0, 3):
        ours, theirs = build_twins(SMALL, seed)
        alone = build_from_config(SMALL)
        randomise(alone, seed)
        for name, tensor in theirs.state_dict().items():
            assert torch.equal(tensor, ours.state_dict()[name]), name
            assert torch.equal(tensor, alone.state_dict()[name]), name
        assert not ours.training and not theirs.training


def test_every_tensor_is_drawn_at_a_scale_that_keeps_activations_near_one():
    first, second = build_from_config(SMALL), build_from_config(SMALL)
    randomise(first, 1)
    randomise(second, 2)
    with torch.no_grad():
        tokens = first.image_encoder.blocks[0].mlp.lin1(torch.randn(500, SMALL.encoder_dim))
    assert 0.7 < tokens.std() < 1.4
    for name, tensor in first.state_dict().items():
        assert (tensor != 0).all() and (tensor != second.state_dict()[name]).all(), name
    assert 0.1 < first.image_encoder.pos_embed.std() < 0.5
    for norm in (first.image_encoder.blocks[0].norm1, first.mask_decoder.transformer.norm_final_attn):
        assert 0.7 < norm.weight.mean() < 1.3 and 0.1 < norm.weight.std() < 0.5

"""The start of a network: a file of the same kind, or a smaller network that grows; other files are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL, small_sam

from minisam.checkpoint import save_checkpoint
from minisam.errors import CheckpointError
from minisam.files import sha256_of
from minisam.train.grow import grow
from minisam.train.start import weights_of

LARGER = replace(SMALL, encoder_depth=5, global_attn_indexes=(1, 2), image_size=96)


@pytest.fixture
def file(tmp_path):
    save_checkpoint(small_sam(), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_a_file_of_the_same_network_is_loaded(file):
    sam = small_sam(1)
    assert weights_of(file)(sam) == {"start_from": sha256_of(file)}
    assert all(
        torch.equal(tensor, small_sam().state_dict()[name]) for name, tensor in sam.state_dict().items()
    )


def test_a_smaller_network_grows(file):
    sam = small_sam(1, LARGER)
    assert weights_of(file)(sam) == {"start_from": sha256_of(file)}
    grown = grow(small_sam(), LARGER).state_dict()
    assert all(torch.equal(tensor, grown[name]) for name, tensor in sam.state_dict().items())


@pytest.mark.parametrize("change", [{"encoder_depth": 2}, {"encoder_dim": 64}])
def test_another_network_is_refused_and_the_first_left_as_it_is(file, change):
    sam = small_sam(1, replace(SMALL, **change))
    before = {name: tensor.clone() for name, tensor in sam.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"small\.safetensors: holds the weights of another network"):
        weights_of(file)(sam)
    assert all(torch.equal(tensor, before[name]) for name, tensor in sam.state_dict().items())

"""A merged network is a plain one: the same masks, no additional layer, and all of it can be trained on."""

from __future__ import annotations

import pytest
import torch
from small_networks import outputs, small_sam

from minisam.adapt.merge import merged
from minisam.adapt.methods import METHODS, Method, adapt
from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.errors import CheckpointError

PLAIN = [Method(name) for name in METHODS if name not in ("adapter", "hq")]
PLAIN += [Method("lora", decoder=False, blocks=(1,), on=("k", "mlp"), scale=0.5)]


def trained(method: Method):
    """A network as after training: all that is trained has moved."""
    adapted = adapt(small_sam(), method)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in (p for p in adapted.sam.parameters() if p.requires_grad):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


@pytest.mark.parametrize("method", PLAIN, ids=str)
def test_a_merged_network_is_plain_and_can_be_trained_on(method, tmp_path):
    adapted = trained(method)
    with torch.no_grad():
        wanted = outputs(adapted.sam)
    sam = merged(adapted)
    assert list(sam.state_dict()) == list(small_sam().state_dict())
    assert all(parameter.requires_grad for parameter in sam.parameters())
    save_checkpoint(sam, tmp_path / "a.safetensors")
    with torch.no_grad():
        for one, other in zip(wanted, outputs(load_checkpoint(tmp_path / "a.safetensors")), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["adapter", "hq"])
def test_layers_that_sam_does_not_have_are_not_merged(name):
    with pytest.raises(CheckpointError, match=f"the method '{name}' adds layers .* as --adapter instead"):
        merged(trained(Method(name)))

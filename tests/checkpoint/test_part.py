"""A mask decoder that was saved alone replaces the base network's, under any of the names that it may have."""

from __future__ import annotations

import pytest
import torch
from small_networks import small_sam

from minisam.checkpoint.huggingface import rename_for_huggingface
from minisam.checkpoint.part import load_part_into
from minisam.errors import CheckpointError

DECODER = "mask_decoder."


def with_prefix(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def their_names(state):
    return rename_for_huggingface(with_prefix(DECODER, state))


FORMS = {
    "alone": lambda state: state,
    "as in the network": lambda state: with_prefix(DECODER, state),
    "of a Lightning module": lambda state: {"state_dict": with_prefix(f"model.sam.{DECODER}", state)},
    "compiled": lambda state: with_prefix(f"_orig_mod.{DECODER}", state),
    "as a user's attribute": lambda state: with_prefix("decoder.", state),
    "first in a Sequential": lambda state: with_prefix("0.", state),
    "a part of a part": lambda state: with_prefix("layers.0.", with_prefix(DECODER, state)),
    "in transformers' names": their_names,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_mask_decoder(form, tmp_path):
    other, sam = small_sam(seed=5), small_sam()
    torch.save(form(other.mask_decoder.state_dict()), tmp_path / "decoder.pth")
    assert load_part_into(sam, tmp_path / "decoder.pth") == len(other.mask_decoder.state_dict())
    for key, tensor in sam.state_dict().items():
        source = other if key.startswith(DECODER) else small_sam()
        assert torch.equal(tensor, source.state_dict()[key]), key


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda state: state | {"head.weight": torch.zeros(1)},
            r"no part of the base .* has no head\.weight",
        ),
        (lambda state: state | {"iou_token.weight": torch.zeros(1, 8)}, r"iou_token.weight is \[1, 8\], and"),
        (lambda state: state | {"iou_token.weight": torch.full((1, 32), torch.nan)}, "NaN or infinite"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, says, tmp_path):
    torch.save(change(small_sam(seed=5).mask_decoder.state_dict()), tmp_path / "decoder.pth")
    sam = small_sam()
    with pytest.raises(CheckpointError, match=says):
        load_part_into(sam, tmp_path / "decoder.pth")
    for key, tensor in sam.state_dict().items():
        assert torch.equal(tensor, small_sam().state_dict()[key]), key

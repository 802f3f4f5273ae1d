"""How many prompts tensors are, for the network itself; messages are in tests/predict/test_batched_prompts.py."""

from __future__ import annotations

import pytest
import torch

from minisam.model.batched_prompts import fault_of_shapes

MASK_SIZE = (8, 6)


def points(prompts: int, each: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(prompts, each, 2), torch.zeros(prompts, each)


def masks(prompts: int) -> torch.Tensor:
    return torch.zeros(prompts, 1, *MASK_SIZE)


@pytest.mark.parametrize(
    ("boxes", "prompts"),
    [((4,), 1), ((1, 4), 1), ((3, 4), 3), ((4, 4), 4), ((3, 5, 4), 3), ((1, 3, 4), 1), ((0, 4), 0)],
)
def test_boxes_are_as_many_prompts_as_their_first_length_and_four_numbers_are_one(boxes, prompts):
    given = torch.zeros(boxes)
    for others in range(6):
        fits = others == prompts
        assert (fault_of_shapes(*points(others), given, None, MASK_SIZE) is None) == fits
        if others != 1:  # one mask is for all prompts
            assert (fault_of_shapes(None, None, given, masks(others), MASK_SIZE) is None) == fits
    assert fault_of_shapes(None, None, given, masks(1), MASK_SIZE) is None


def test_one_row_of_labels_may_be_for_all_prompts_and_one_mask_too():
    coords, labels = points(3)
    assert fault_of_shapes(coords, labels[:1], torch.zeros(3, 4), masks(1), MASK_SIZE) is None
    assert "one label per point" in str(fault_of_shapes(coords, labels[:2], None, None, MASK_SIZE))
    fault = fault_of_shapes(coords, labels, torch.zeros(2, 4), masks(4), MASK_SIZE)
    assert "point_coords 3, boxes 2, mask_input 4" in str(fault)


def test_a_mask_has_the_networks_height_and_width():
    assert fault_of_shapes(None, None, None, masks(2), MASK_SIZE) is None
    assert "(B, 1, 8, 6)" in str(fault_of_shapes(None, None, None, masks(2).mT, MASK_SIZE))

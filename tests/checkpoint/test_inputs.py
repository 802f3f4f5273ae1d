"""What tensors do not show: only differences are kept, and what no network can have is refused."""

from __future__ import annotations

import pytest
import torch
from small_networks import SMALL, small_sam

from minisam.checkpoint.inputs import check_inputs, inputs_of, savable_inputs_of, set_inputs_
from minisam.errors import CheckpointError

OTHERS = {
    "image_size": 96,
    "pixel_mean": [1.0, 2.0, 3.0],
    "pixel_std": [4.0, 5.0, 6.0],
    "mask_threshold": 0.5,
    "image_format": "BGR",
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_rounding_of_another_precision_is_no_difference(dtype):
    assert inputs_of(small_sam().to(dtype), SMALL) == {}


@pytest.mark.parametrize("name", OTHERS)
def test_each_difference_is_kept_and_set_again(name):
    sam, other = small_sam(), small_sam()
    set_inputs_(sam, {name: OTHERS[name]})
    assert inputs_of(sam, SMALL) == savable_inputs_of(sam, SMALL) == {name: OTHERS[name]}
    set_inputs_(other, inputs_of(sam, SMALL))
    assert inputs_of(other, SMALL) == {name: OTHERS[name]}


def test_all_of_them_go_together():
    sam = small_sam()
    set_inputs_(sam, OTHERS)
    assert inputs_of(sam, SMALL) == check_inputs(OTHERS, SMALL) == OTHERS
    assert sam.prompt_encoder.input_image_size == (96, 96)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"other": 1},
        {"image_size": 0},
        {"image_size": -8},
        {"image_size": 100},
        {"image_size": 96.0},
        {"image_size": True},
        {"image_size": 8 * 1025},
        {"pixel_mean": [1.0, 2.0]},
        {"pixel_mean": [1.0, 2.0, float("nan")]},
        {"pixel_mean": (1.0, 2.0, 3.0)},
        {"pixel_std": [1.0, 2.0, 0.0]},
        {"pixel_std": [1.0, 2.0, -3.0]},
        {"pixel_std": [1.0, 2.0, 3.0, 4.0]},
        {"mask_threshold": float("inf")},
        {"mask_threshold": "0"},
        {"mask_threshold": True},
        {"image_format": "RGBA"},
    ],
    ids=str,
)
def test_what_no_network_has_is_a_damaged_header(wrong):
    with pytest.raises(CheckpointError, match="damaged minisam header"):
        check_inputs(wrong, SMALL)


def test_the_largest_image_is_allowed():
    assert check_inputs({"image_size": 8 * 1024}, SMALL) == {"image_size": 8 * 1024}


def test_what_cannot_be_loaded_is_not_saved():
    sam = small_sam()
    sam.mask_threshold = float("nan")
    with pytest.raises(CheckpointError, match="cannot be saved: no network can be given mask_threshold nan"):
        savable_inputs_of(sam, SMALL)

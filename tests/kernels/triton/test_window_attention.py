"""What window_attention's kernels promise beyond the suite that all share: any window, and padding as it is in SAM."""

from __future__ import annotations

import pytest
import torch
from kernel_operations import DEVICE, run, tensors

from minisam_kernels.cases import make_case
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.window_attention import LAUNCHES, window_attention
from minisam_kernels.window_attention_backward import LAUNCHES as BACKWARD_LAUNCHES
from minisam_kernels.window_tiles import window_tiles

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def test_a_window_of_more_rows_than_the_smallest_tile_has_slots():
    assert window_tiles(19) == {"S": 19, "BLOCK_T": 32, "BLOCK_R": 64}
    check_case(window_attention, make_case("window_attention", "19", (1, 19, 3, 1, 16, 19)), torch.float32)


def test_both_ways_have_the_same_launches():
    assert LAUNCHES.keys() == BACKWARD_LAUNCHES.keys()


@pytest.mark.parametrize(("grid", "padded"), [((4, 6), False), ((3, 6), True), ((4, 5), True)])
def test_the_bias_takes_gradients_from_padded_keys_and_values_alone(grid, padded):
    case = make_case("window_attention", "bias", (1, *grid, 1, 16, 2))
    _, grads = run(window_attention, tensors(case, torch.float32), case)
    queries, *keys_and_values = grads["qkv_bias"].chunk(3)
    assert not queries.any()
    assert all(bool(part.any()) == padded for part in keys_and_values)


def test_padding_is_a_key_for_the_gradient_of_the_tables():
    case = make_case("window_attention", "tables", (1, 1, 1, 1, 16, 2))
    _, grads = run(window_attention, tensors(case, torch.float32), case)
    for name in ("rel_pos_h", "rel_pos_w"):
        towards_padding, own, beyond = grads[name]
        assert towards_padding.any() and own.any() and not beyond.any()


@pytest.mark.parametrize(
    ("changed", "numbers", "message"),
    [
        ({"qkv": (1, 4, 96)}, {}, r"qkv must be \[B, H, W, 3\*C\] with C a multiple of num_heads = 2"),
        ({"qkv": (1, 4, 4, 98)}, {}, r"qkv must be \[B, H, W, 3\*C\]"),
        ({}, {"num_heads": 1}, r"rel_pos_h must be \[3, 32\], got \[3, 16\]"),
        ({}, {"num_heads": 3}, "qkv must be|head dim"),
        ({}, {"num_heads": 0}, "num_heads and window_size must be at least 1, got 0 and 2"),
        ({}, {"window_size": 3}, r"rel_pos_h must be \[5, 16\], got \[3, 16\]"),
        ({"qkv_bias": (32,)}, {}, r"qkv_bias must be \[96\], got \[32\]"),
        ({"rel_pos_w": (3, 8)}, {}, r"rel_pos_w must be \[3, 16\]"),
    ],
)
def test_shapes_that_do_not_fit_are_named(changed, numbers, message):
    shapes = {"qkv": (1, 4, 4, 96), "qkv_bias": (96,), "rel_pos_h": (3, 16), "rel_pos_w": (3, 16)} | changed
    inputs = {name: torch.zeros(shape, device=DEVICE) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=f"window_attention: ({message})"):
        window_attention(**inputs, **({"num_heads": 2, "window_size": 2} | numbers))

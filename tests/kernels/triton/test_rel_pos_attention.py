"""What rel_pos_attention's kernels promise beyond the suite that all share: no copies, biases of any size."""

from __future__ import annotations

import pytest
import torch
from kernel_operations import DEVICE, DTYPES, tensors

from minisam_kernels.cases import Case, make_case
from minisam_kernels.head_tiles import as_one_projection
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.rel_pos_attention import LAUNCHES, WIDE_HEADS, rel_pos_attention
from minisam_kernels.rel_pos_attention_backward import (
    KEY_LAUNCHES,
    QUERY_LAUNCHES,
    WIDE_QUERY_LAUNCHES,
    key_block,
)

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=list(DTYPES))
@pytest.mark.parametrize("loud", ["rel_h", "rel_w"])
def test_one_grid_row_or_column_rules_by_its_bias(loud, dtype):
    case = make_case("rel_pos_attention", f"loud {loud}", (1, 1, 3, 5, 16))
    bias = case.inputs[loud].copy()
    bias[..., 1] += 100  # e^100 is more than float32 holds
    check_case(
        rel_pos_attention, Case(case.operation, case.name, case.inputs | {loud: bias}, case.constants), dtype
    )


def test_views_of_one_projection_are_read_where_they_lie():
    qkv = torch.zeros(2, 6, 3, 4, 16)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    assert as_one_projection(q, k, v) == (q, k, v)
    others = as_one_projection(q, k.contiguous(), v)
    assert all(x.is_contiguous() for x in others)


def test_merging_the_heads_of_the_result_copies_nothing():
    inputs = tensors(make_case("rel_pos_attention", "heads", (1, 2, 2, 3, 16)), torch.float32)
    out = rel_pos_attention(**inputs, scale=0.25)
    merged = out.transpose(1, 2).flatten(2)
    assert merged.data_ptr() == out.data_ptr() and merged.is_contiguous()


@pytest.mark.parametrize(
    "launches", [LAUNCHES, WIDE_HEADS, QUERY_LAUNCHES, WIDE_QUERY_LAUNCHES, KEY_LAUNCHES]
)
def test_a_tile_of_keys_is_a_grid_row_or_a_part_of_one(launches):
    assert launches.keys() == LAUNCHES.keys()
    for launch in launches.values():
        assert key_block(launch, 1) == 16
        assert all(width <= key_block(launch, width) or launch.block_k < width for width in range(1, 300))
        assert all(key_block(launch, width) <= max(launch.block_k, 16) for width in range(1, 300))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"q": (1, 1, 7, 16)}, "a grid of 2 x 3 does not have 7 tokens"),
        ({"q": (1, 6, 16)}, r"q must be \[B, N, H\*W, D\]"),
        ({"q": (1, 1, 6, 20)}, "head dim 20 has no kernel"),
        ({"k": (1, 1, 5, 16)}, r"k must be \[1, 1, 6, 16\], got \[1, 1, 5, 16\]"),
        ({"v": (1, 2, 6, 16)}, r"v must be \[1, 1, 6, 16\]"),
        ({"rel_h": (1, 1, 5, 2)}, r"rel_h must be \[1, 1, 6, 2\]"),
        ({"rel_w": (2, 1, 6, 3)}, r"rel_w must be \[1, 1, 6, 3\]"),
    ],
)
def test_shapes_that_do_not_fit_are_named(changed, message):
    tokens = (1, 1, 6, 16)
    shapes = {"q": tokens, "k": tokens, "v": tokens, "rel_h": (1, 1, 6, 2), "rel_w": (1, 1, 6, 3)} | changed
    with pytest.raises(ValueError, match=f"rel_pos_attention: {message}"):
        rel_pos_attention(**{name: torch.zeros(s, device=DEVICE) for name, s in shapes.items()}, scale=1.0)

"""The benchmark's contestants compute what they claim to: run where there is no GPU, on tiny shapes."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from minisam_kernels import dense
from minisam_kernels.cases import cases, make_case
from minisam_kernels.lab import fused_peers, peers
from minisam_kernels.lab.bench import measure
from minisam_kernels.lab.catalog import OPERATIONS
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.lab.results import KernelResult
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.mask_cases import COUNTING

TINY = {
    "softmax": (3, 7),
    "attention": (1, 2, 9, 9, 16),
    "cross_attention": (2, 1, 3, 10, 16),
    "rel_pos_attention": (2, 2, 3, 5, 16),
    "window_attention": (2, 5, 7, 2, 16, 3),
    "token_to_image": (2, 5, 11, 16),
    "image_to_token": (2, 2, 2, 3, 11, 16),
    "mask_statistics": (2, 8, 8, 19, 31),
    "mask_bits": (2, 8, 8, 19, 31),
}
EVERYWHERE = [  # the same formulas with the backend left to torch, and FlexAttention not compiled
    ("attention", peers.sdpa(None)),
    ("attention", peers.sdpa("math")),
    ("cross_attention", peers.sdpa(None)),
    ("rel_pos_attention", peers.sdpa_with_bias(None)),
    ("rel_pos_attention", peers.sdpa_with_bias("math")),
    ("rel_pos_attention", peers.one_hot_concatenation(None)),
    ("window_attention", peers.partitioned(None)),
    ("window_attention", peers.partitioned("math")),
    ("token_to_image", peers.one_wide_head(None)),
    ("token_to_image", peers.one_wide_head("math")),
    ("image_to_token", next(iter(peers.peers("image_to_token").values()))),
    ("softmax", peers.peers("softmax")["torch"]),
]


@pytest.mark.parametrize("operation", COUNTING)
def test_interpolating_twice_counts_the_same(operation):
    (function,) = peers.peers(operation).values()
    assert not check_case(
        function, make_case(operation, "tiny", TINY[operation]), torch.float32
    ).differentiable


@pytest.mark.parametrize(("operation", "function"), EVERYWHERE)
def test_the_formula_is_right_with_gradients(operation, function):
    assert check_case(function, make_case(operation, "tiny", TINY[operation]), torch.float32).differentiable


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_without_its_compiler():
    case = make_case("rel_pos_attention", "tiny", TINY["rel_pos_attention"])
    q, k, v, rel_h, rel_w = (torch.tensor(array) for array in case.inputs.values())
    out = peers.flex(flex_attention)(q, k, v, rel_h, rel_w, **case.constants)
    torch.testing.assert_close(out, dense.rel_pos_attention(q, k, v, rel_h, rel_w, **case.constants))


def test_without_bias_is_plain_attention():
    (case,) = (case for case in cases("rel_pos_attention") if case.name == "head dim 80")
    tensors = [torch.tensor(array) for array in case.inputs.values()]
    out = peers.without_bias(None)(*tensors, **case.constants)
    torch.testing.assert_close(out, dense.attention(*tensors[:3], **case.constants))


@pytest.mark.skipif(not INTERPRETED, reason="a GPU computes tiny sizes too, with float32 as the peers do not")
@pytest.mark.parametrize(
    ("function", "sizes"),
    [
        (fused_peers.rows_of_keys, (1, 2, 4, 16, 16)),
        (fused_peers.rows_of_keys, (1, 1, 2, 32, 24)),
        (fused_peers.any_keys, (2, 1, 3, 5, 16)),
        (fused_peers.any_keys, (1, 1, 7, 11, 16)),
    ],
)
def test_other_projects_algorithms_give_the_same_output(function, sizes):
    case = make_case("rel_pos_attention", "tiny", sizes)
    assert not check_case(function, case, torch.float32).differentiable


def test_other_projects_algorithms_refuse_what_they_were_not_made_for():
    def inputs(H, W, D):
        tokens = torch.zeros(1, 1, H * W, D)
        return tokens, tokens, tokens, torch.zeros(1, 1, H * W, H), torch.zeros(1, 1, H * W, W)

    for grid in ((8, 24), (3, 16)):
        with pytest.raises(ValueError, match=f"got {grid[0]} x {grid[1]}"):
            fused_peers.rows_of_keys(*inputs(*grid, 16), 1.0)
    with pytest.raises(ValueError, match="a power of two, got 80"):
        fused_peers.any_keys(*inputs(2, 3, 80), 1.0)


def test_what_is_forward_only_is_not_measured_backward():
    result = KernelResult("rel_pos_attention", "vit_b", 1, "bf16", "backward")
    for name in peers.peers("rel_pos_attention"):
        if peers.FORWARD_ONLY in name:
            measure(mock.Mock(), name, mock.Mock(side_effect=AssertionError), result, lambda call: 1.0)
    assert not result.failed and not result.milliseconds


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_peers_that_say_what_they_are(operation):
    names = list(peers.peers(operation))
    assert names and "minisam" not in names
    if operation == "rel_pos_attention":
        text = " ".join(names)
        wanted_names = ("memory-efficient", "cuDNN", "math", "one-hot", "FlexAttention", peers.NO_BIAS)
        for wanted in (*wanted_names, "segment-anything-fast", "vLLM"):
            assert wanted in text
    with pytest.raises(ValueError, match="no peers"):
        peers.peers("convolution")


def test_the_bias_has_rows_of_eight_in_memory():
    bias = peers.dense_bias(torch.ones(1, 1, 9, 3), torch.ones(1, 1, 9, 3))
    assert bias.shape[-1] == 9 and bias.stride(-2) == 16 and bool((bias == 2).all())

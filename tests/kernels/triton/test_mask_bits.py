"""What is true of mask_bits alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels.cases import expected_counts, make_case
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.mask_bits import LAUNCHES, WORD, mask_bits
from minisam_kernels.mask_statistics import mask_statistics

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_as_many_bits_as_mask_statistics_counts(threshold):
    inputs = make_case("mask_bits", "own", (2, 7, 9, 40, 50)).tensors(torch.float32, DEVICE)
    words = mask_bits(**inputs, threshold=threshold)
    count = ((words[..., None] >> torch.arange(WORD, device=DEVICE)) & 1).sum((1, 2, 3), dtype=torch.int32)
    statistics = mask_statistics(**inputs, lower=threshold, middle=threshold, upper=threshold)
    assert torch.equal(count, statistics[:, 1]) and count.min() > 0


def test_a_tile_is_not_decided_within_the_rounding_of_its_pixels():
    """All logits are above the threshold, by less than a pixel is rounded, and some pixels are not."""
    case = make_case("mask_bits", "own", (1, 16, 16, 50, 60))
    case.inputs["low_res"][...] = np.nextafter(np.float32(1), np.float32(2))
    case = replace(case, constants={"threshold": 1.0})
    wanted = expected_counts(case, torch.float32)
    assert np.bitwise_count(wanted.view(np.uint32)).sum() < 50 * 60
    words = mask_bits(**case.tensors(torch.float32, DEVICE), threshold=1.0)
    np.testing.assert_array_equal(words.cpu().numpy(), wanted)


def test_a_tile_is_as_high_as_a_word():
    assert {launch.block_m for launch in LAUNCHES.values()} == {WORD}


def test_shapes_that_do_not_fit_are_refused_by_name():
    inputs = make_case("mask_bits", "own", (1, 3, 3, 5, 5)).tensors(torch.float32, DEVICE)
    inputs["low_res"] = inputs["low_res"][0]
    with pytest.raises(ValueError, match=r"mask_bits: low_res must be \[P, h, w\], got \[3, 3\]"):
        mask_bits(**inputs, threshold=0.0)

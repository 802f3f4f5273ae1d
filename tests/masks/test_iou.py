"""Intersection over union, counted pixel by pixel."""

from __future__ import annotations

import numpy as np
import torch

from minisam.masks.iou import count_pixels, mask_iou


def test_counts_of_masks_that_broadcast():
    rng = np.random.default_rng(0)
    masks, targets = rng.random((4, 3, 5, 7)) < 0.4, rng.random((4, 1, 5, 7)) < 0.4
    found = mask_iou(torch.from_numpy(masks), torch.from_numpy(targets))
    both, either = (masks & targets).sum((2, 3)), (masks | targets).sum((2, 3))
    np.testing.assert_allclose(found.numpy(), both / either, rtol=1e-6)


def test_two_empty_masks_have_no_overlap_and_equal_ones_all():
    empty, full = torch.zeros(2, 4, 4, dtype=torch.bool), torch.ones(2, 4, 4, dtype=torch.bool)
    assert mask_iou(empty, empty).tolist() == mask_iou(empty, full).tolist() == [0, 0]
    assert mask_iou(full, full).tolist() == [1, 1]


def test_a_large_mask_is_counted_to_the_pixel():
    mask = torch.ones(1, 5000, 5001, dtype=torch.bool)
    assert count_pixels(mask).tolist() == [5000 * 5001] and count_pixels(mask).dtype == torch.int32

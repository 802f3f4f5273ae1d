"""Boxes as differences to anchors and back, by hand and there and back again."""

from __future__ import annotations

import math

import pytest
import torch

from minisam.detect.box_coding import LARGEST_LOG, ROI_STD, RPN_STD, decode_deltas, encode_boxes

ANCHOR = torch.tensor([[10.0, 20.0, 30.0, 60.0]])


def boxes(seed: int) -> torch.Tensor:
    corners = torch.rand(50, 2, generator=torch.Generator().manual_seed(seed)) * 100
    return torch.cat([corners, corners + 5 + torch.rand(50, 2) * 40], dim=1)


@pytest.mark.parametrize("std", [RPN_STD, ROI_STD, (0.1, 0.3, 0.5, 0.7)])
def test_there_and_back(std):
    torch.manual_seed(0)
    own, anchors = boxes(1), boxes(2)
    torch.testing.assert_close(decode_deltas(encode_boxes(own, anchors, std), anchors, std), own)
    assert (encode_boxes(own, own, std) == 0).all()


def test_by_hand():
    box = torch.tensor(
        [[20.0, 30.0, 60.0, 50.0]]
    )  # centre (40, 40), size 40 x 20; the anchor (20, 40), 20 x 40
    expected = torch.tensor([[1.0, 0.0, math.log(2), math.log(0.5)]])
    torch.testing.assert_close(encode_boxes(box, ANCHOR), expected)
    torch.testing.assert_close(
        encode_boxes(box, ANCHOR, ROI_STD), expected / torch.tensor([0.1, 0.1, 0.2, 0.2])
    )
    torch.testing.assert_close(decode_deltas(expected, ANCHOR), box)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_box_cannot_become_larger_or_smaller_without_limit(sign):
    (x0, y0, x1, y1) = decode_deltas(torch.tensor([[0.0, 0.0, sign * 50.0, sign * 50.0]]), ANCHOR)[0].tolist()
    factor = math.exp(sign * LARGEST_LOG)
    assert (x1 - x0, y1 - y0) == (pytest.approx(20 * factor, rel=1e-3), pytest.approx(40 * factor, rel=1e-3))

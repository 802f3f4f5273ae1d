"""Anchors and the coding of boxes against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minisam.detect.anchors import cell_anchors, grid_anchors
from minisam.detect.box_coding import ROI_STD, decode_deltas, encode_boxes


def test_the_anchors_of_a_cell_are_centred_scale_by_scale_then_ratio_by_ratio():
    anchors = cell_anchors(4, (4, 8), (0.5, 1.0, 2.0))
    width, height = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    torch.testing.assert_close(width * height, torch.tensor([256.0] * 3 + [1024.0] * 3))
    torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0] * 2))
    torch.testing.assert_close(anchors[:, :2], -anchors[:, 2:])
    assert anchors[1].tolist() == [-8, -8, 8, 8]


def test_a_grid_goes_row_by_row_with_its_first_cell_at_the_corner_of_the_image():
    anchors = grid_anchors((2, 3), 8, (1,), (1.0,))
    assert anchors.tolist() == [
        [8 * x - 4, 8 * y - 4, 8 * x + 4, 8 * y + 4] for y in range(2) for x in range(3)
    ]


def test_published_sides_and_the_number_of_ours():
    sides = [side for stride in (4, 8, 16, 32, 64) for side in (4 * stride, 8 * stride)]
    assert (min(sides), max(sides)) == (16, 512)
    ours = [grid_anchors((256 // s, 256 // s), s, (4, 5.7), (0.5, 1, 2)) for s in (8, 16, 32)]
    assert sum(map(len, ours)) == 8064


def test_deltas_by_hand():
    anchor, box = torch.tensor([[10.0, 20.0, 30.0, 60.0]]), torch.tensor([[15.0, 20.0, 55.0, 40.0]])
    expected = [15 / 20, -10 / 40, math.log(2), math.log(0.5)]
    assert encode_boxes(box, anchor)[0].tolist() == pytest.approx(expected)
    scaled = [value / std for value, std in zip(expected, ROI_STD, strict=True)]
    assert encode_boxes(box, anchor, ROI_STD)[0].tolist() == pytest.approx(scaled)


@given(st.lists(st.tuples(*[st.floats(-500, 500)] * 4, *[st.floats(1, 400)] * 4), min_size=1, max_size=4))
def test_decoding_undoes_encoding(numbers):
    values = torch.tensor(numbers, dtype=torch.float64)
    boxes = torch.cat([values[:, :2], values[:, :2] + values[:, 4:6]], dim=1)
    anchors = torch.cat([values[:, 2:4], values[:, 2:4] + values[:, 6:]], dim=1)
    inside = ((boxes[:, 2:] - boxes[:, :2]) / (anchors[:, 2:] - anchors[:, :2])).log().abs().amax(dim=1) < 4.1
    for std in ((1.0, 1.0, 1.0, 1.0), ROI_STD):
        again = decode_deltas(encode_boxes(boxes, anchors, std), anchors, std)
        torch.testing.assert_close(again[inside], boxes[inside], atol=1e-6, rtol=1e-9)


def test_no_box_grows_or_shrinks_by_more_than_a_factor():
    anchor = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    wild = decode_deltas(torch.tensor([[0.0, 0.0, 1e9, -1e9]]), anchor)[0]
    assert (wild[2] - wild[0]).item() == pytest.approx(1000, rel=1e-5)
    assert (wild[3] - wild[1]).item() == pytest.approx(16 * 16 / 1000, rel=1e-2)

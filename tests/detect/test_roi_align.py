"""RoIAlign against a loop over samples in float64, written as He et al. 2017 describe it."""

import math

import numpy as np
import pytest
import torch

from minisam.detect.pyramid import level_of, pyramid_roi_align
from minisam.detect.roi_align import axis_weights, roi_align


def value_at(features: np.ndarray, y: float, x: float) -> np.ndarray:
    """Bilinear interpolation of [C, H, W]; 0 more than a cell outside."""
    _, height, width = features.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(features))
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    a, b = y - y0, x - x0
    top = (1 - b) * features[:, y0, x0] + b * features[:, y0, x1]
    bottom = (1 - b) * features[:, y1, x0] + b * features[:, y1, x1]
    return (1 - a) * top + a * bottom


def by_loop(features: np.ndarray, box: np.ndarray, scale: float, side: int) -> np.ndarray:
    x0, y0, x1, y1 = box * scale - 0.5
    high, wide = (y1 - y0) / side, (x1 - x0) / side
    rows, columns = math.ceil(high), math.ceil(wide)
    out = np.zeros((len(features), side, side))
    for i, j in np.ndindex(side, side):
        for a, b in np.ndindex(max(rows, 0), max(columns, 0)):
            y, x = y0 + (i + (a + 0.5) / rows) * high, x0 + (j + (b + 0.5) / columns) * wide
            out[:, i, j] += value_at(features, y, x) / (rows * columns)
    return out


BOXES = [
    [3.0, 5.0, 40.0, 29.0],
    [0.0, 0.0, 64.0, 48.0],
    [-30.0, 10.0, 20.0, 90.0],  # leaves the image on both sides
    [11.2, 7.7, 12.9, 8.1],  # smaller than a cell
    [20.0, 20.0, 20.0, 30.0],  # without an area
    [60.0, 44.0, 200.0, 150.0],
]


@pytest.mark.parametrize("side", [1, 2, 7])
@pytest.mark.parametrize("scale", [1 / 4, 1 / 16, 1.0])
def test_it_equals_a_loop_over_samples(side, scale):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, int(48 * scale), int(64 * scale), generator=generator, dtype=torch.float64)
    boxes = torch.tensor(BOXES, dtype=torch.float64)
    index = torch.tensor([1, 0, 1, 0, 0, 1])
    found = roi_align(features, boxes, index, scale, side)
    for n, (box, image) in enumerate(zip(BOXES, index.tolist(), strict=True)):
        expected = by_loop(features[image].numpy(), np.array(box), scale, side)
        np.testing.assert_allclose(found[n].numpy(), expected, atol=1e-12)


def test_a_constant_map_stays_constant_and_no_boxes_give_no_features():
    features = torch.full((1, 2, 9, 9), 3.0)
    inside = roi_align(
        features, torch.tensor([[1.0, 2.0, 7.5, 8.0]]), torch.zeros(1, dtype=torch.int64), 1.0, 5
    )
    torch.testing.assert_close(inside, torch.full((1, 2, 5, 5), 3.0))
    assert roi_align(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 1.0, 5).shape == (
        0,
        2,
        5,
        5,
    )


def test_the_gradient_goes_to_the_features_alone():
    features = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0.3, 1.0, 5.0, 4.5]], dtype=torch.float64, requires_grad=True)
    index = torch.zeros(1, dtype=torch.int64)
    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes.detach(), index, 1.0, 2), features)
    roi_align(features, boxes, index, 1.0, 2).sum().backward()
    assert boxes.grad is None and features.grad is not None


def test_the_weights_of_a_bin_sum_to_one_inside_the_map():
    weights = axis_weights(torch.tensor([2.0, 0.5]), torch.tensor([7.0, 9.0]), cells=12, side=3)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 3))


def test_a_box_takes_the_level_of_its_side():
    sides = torch.tensor([1.0, 55.9, 56.0, 111.9, 112.0, 223.0, 224.0, 448.0, 5000.0])
    boxes = torch.stack([torch.zeros(9), torch.zeros(9), sides, sides], dim=1)
    assert level_of(boxes, 56.0, 4).tolist() == [0, 0, 0, 0, 1, 1, 2, 3, 3]
    wide = torch.tensor([[0.0, 0.0, 224.0, 56.0], [0.0, 0.0, -3.0, 9.0]])  # √(w · h) = 112; no area
    assert level_of(wide, 56.0, 4).tolist() == [1, 0]


def test_each_box_is_aligned_on_its_level_in_the_given_order():
    pyramid = [torch.full((2, 1, 32, 32), 10.0), torch.full((2, 1, 16, 16), 20.0)]
    pyramid[0][1] += 1
    boxes = torch.tensor([[0.0, 0, 200, 200], [0, 0, 20, 20], [8, 8, 24, 24]])
    features = pyramid_roi_align(pyramid, (8, 16), boxes, torch.tensor([1, 0, 1]), 56.0, 3)
    assert features.mean(dim=(1, 2, 3)).tolist() == pytest.approx([20.0, 10.0, 11.0])


def test_a_side_that_only_rounding_keeps_from_the_next_level_is_on_it():
    side = torch.nextafter(torch.tensor(112.0), torch.tensor(0.0)).item()
    assert level_of(torch.tensor([[0.0, 0, side, side], [0, 0, 111.99, 111.99]]), 56.0, 4).tolist() == [1, 0]

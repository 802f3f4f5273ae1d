"""IoU by counting sets, validIoU by trying every node under the click."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.evaluate.valid_iou import valid_iou
from minisam.masks.iou import mask_iou


def brute_iou(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = ({tuple(pixel) for pixel in mask.nonzero().tolist()} for mask in (a, b))
    return len(a & b) / len(a | b) if a | b else 0.0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_mask_iou_counts_pixels(seed):
    masks = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(seed)) > 0.6
    targets = masks[:, :1].roll(1, dims=-1)
    found = mask_iou(masks, targets)
    expected = [
        [brute_iou(mask, target[0]) for mask in of_one] for of_one, target in zip(masks, targets, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_two_empty_masks_have_no_overlap():
    assert mask_iou(torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)) == 0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_valid_iou_tries_every_level(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 3, (4, 3, 5, 5), generator=generator, dtype=torch.int16)
    masks = torch.rand(4, 5, 5, generator=generator) > 0.5
    clicks = torch.randint(0, 5, (4, 2), generator=generator)
    expected = []
    for mask, maps, (x, y) in zip(masks, labels, clicks.tolist(), strict=True):
        nodes = [(level_map, int(level_map[y, x])) for level_map in maps]
        expected.append(
            max([brute_iou(mask, level_map == node) for level_map, node in nodes if node >= 0], default=0.0)
        )
    torch.testing.assert_close(valid_iou(masks, labels, clicks), torch.tensor(expected))

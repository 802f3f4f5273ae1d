"""At the thresholds themselves: predicted IoU and area must be past them, stability may lie on it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minisam.model import Sam
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.everything.mask_filters import MaskFilters

SIDE = 64


def squares(*sides: int, inner: float = 9.0, rim: int = 0) -> LowResolutionMasks:
    """One click with a square of each side, its corner at (8, 4); with a rim that many pixels wide of logit 0.5.

    Logits have the size of the image, which makes every pixel exact.
    """
    sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=SIDE))
    sam.postprocess_masks = lambda *arguments: Sam.postprocess_masks(sam, *arguments)  # type: ignore
    logits = torch.full((1, len(sides), SIDE, SIDE), -9.0)
    for channel, side in enumerate(sides):
        logits[0, channel, 4 : 4 + side, 8 : 8 + side] = 0.5
        logits[0, channel, 4 + rim : 4 + side - rim, 8 + rim : 8 + side - rim] = inner
    return LowResolutionMasks(logits, sam, (SIDE, SIDE), (SIDE, SIDE), (-1.0, 0.0, 1.0))  # type: ignore


def passing(
    filters: MaskFilters,
    masks: LowResolutionMasks,
    iou: list[float],
    crop=(0, 0, SIDE, SIDE),
    size=(SIDE, SIDE),
):
    return filters.apply(masks, torch.tensor([iou]), np.array([[9.0, 5.0]]), crop, size)


def test_the_predicted_iou_must_be_above_its_threshold():
    found = passing(MaskFilters(0.5, 0.0), squares(4, 6, 8), [0.5, 0.5000001, 0.4])
    assert found.boxes.tolist() == [[8, 4, 13, 9]]
    assert found.iou_predictions.tolist() == pytest.approx([0.5])


def test_a_threshold_of_zero_lets_every_mask_pass():
    assert len(passing(MaskFilters(0.0, 0.0), squares(4, 6), [0.0, -0.3])) == 2


def test_the_stability_may_lie_on_its_threshold():
    # 6 x 6 pixels above -1, of which the inner 4 x 4 are above 1.
    masks, score = squares(6, rim=1), 16 / 36
    assert passing(MaskFilters(0.0, float(np.float32(score))), masks, [1.0]).stability_scores[
        0
    ] == np.float32(score)
    assert len(passing(MaskFilters(0.0, score + 1e-6), masks, [1.0])) == 0


def test_the_area_must_be_below_its_limit():
    masks = squares(4, 6, 8)
    for limit, expected in ((36, [16]), (36.5, [16, 36]), (65, [16, 36, 64])):
        found = passing(MaskFilters(0.0, 0.0, limit / SIDE**2), masks, [1.0, 1.0, 1.0])
        assert [int((b[1::2] - b[::2]).sum()) for b in found.borders] == expected


def test_a_crop_moves_boxes_and_points_to_the_image():
    crop, size = (30, 50, 30 + SIDE, 50 + SIDE), (300, 200)
    everything = passing(MaskFilters(0.0, 0.0), squares(30), [1.0], crop, size)
    assert len(everything) == 0  # at the crop's left and upper edge, inside the image
    crop, size = (0, 0, SIDE, SIDE), (300, 200)
    found = passing(MaskFilters(0.0, 0.0), squares(30), [1.0], crop, size)
    assert found.boxes.tolist() == [[8, 4, 37, 33]] and found.crop_boxes.tolist() == [[0, 0, SIDE, SIDE]]
    crop, size = (30, 50, 30 + SIDE, 50 + SIDE), (50 + SIDE, 30 + SIDE)
    masks = squares(56)
    masks = replace(masks, logits=masks.logits.flip(-1, -2).roll((-4, -4), (-1, -2)))
    assert len(passing(MaskFilters(0.0, 0.0), masks, [1.0], crop, size)) == 0
    masks = squares(20)
    masks = replace(masks, logits=masks.logits.roll((30, 30), (-1, -2)))
    found = passing(MaskFilters(0.0, 0.0), masks, [1.0], crop, size)
    assert found.boxes.tolist() == [[68, 84, 87, 103]] and found.points.tolist() == [[39.0, 55.0]]


@pytest.mark.parametrize("size", [(50 + SIDE, 30 + SIDE), (300, 200)])
def test_the_limit_of_the_area_is_a_share_of_the_image_not_of_the_crop(size):
    crop = (30, 50, 30 + SIDE, 50 + SIDE)
    masks = squares(20)
    masks = replace(masks, logits=masks.logits.roll((14, 18), (-1, -2)))
    pixels = size[0] * size[1]
    counts = [
        len(passing(MaskFilters(0.0, 0.0, limit / pixels), masks, [1.0], crop, size)) for limit in (400, 401)
    ]
    assert counts == [0, 1]


def test_an_empty_mask_is_a_box_without_extent_at_the_corner():
    masks = squares(4)
    masks.logits[:] = -9.0
    found = passing(MaskFilters(0.0, 0.0), masks, [1.0])
    assert found.boxes.tolist() == [[0, 0, 0, 0]] and len(found.borders[0]) == 0

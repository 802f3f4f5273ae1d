"""The prompts for a target, and the masks that are judged, with a network of known masks."""

from __future__ import annotations

import pytest
import torch
from toy_sam import ToySam, nested_scenes

from minisam.evaluate.measure import Measurements, measure_scenes
from minisam.masks.sampling import sample_pixels

PREDICTED = torch.tensor([0.2, 0.1, 0.9])


def measure(answer, targets_per_image=3, clicks=2, prompts_per_batch=32, images=2, seed=0):
    sam = ToySam(answer).eval()
    scenes = nested_scenes(images)
    return sam, measure_scenes(sam, scenes, targets_per_image, clicks, seed, prompts_per_batch)  # type: ignore


def whole_part_and_a_guess(levels, click, first):
    """The whole, the part, and a mask that is surest of itself: the upper 8 rows of the whole."""
    if not first:
        return levels[:1], torch.tensor([0.5])
    guess = levels[0].clone()
    guess[guess.any(dim=1).nonzero()[8:, 0]] = False
    return torch.stack([levels[0], levels[1], guess]), PREDICTED


def test_valid_iou_is_that_of_the_mask_that_the_network_ranks_first():
    _, (measured,) = measure(whole_part_and_a_guess)
    # 8 of the 20 rows of the whole; the part begins 2 rows lower, so 6 of its 12 rows of 12 pixels.
    best = max(8 * 20 / 400, 6 * 12 / (160 + 144 - 72), 4 * 6 / (160 + 36 - 24))
    torch.testing.assert_close(measured.valid_iou, torch.full((6,), best))
    assert (measured.centre_iou.amax(dim=1) >= 36 / 400).all()
    torch.testing.assert_close(measured.centre_predicted, PREDICTED.expand(6, 3))


def test_each_prompt_is_judged_by_its_own_target():
    _, (measured,) = measure(
        lambda levels, click, first: (levels if first else levels[2:], PREDICTED[-3 if first else -1 :])
    )
    areas = torch.tensor([400.0, 144.0, 36.0])
    nested = torch.minimum(areas[:, None], areas) / torch.maximum(areas[:, None], areas)
    for row in measured.centre_iou:
        assert any(torch.allclose(row, expected) for expected in nested)
    found = {int(row.argmax()) for row in measured.centre_iou}
    assert found == {0, 1, 2}
    torch.testing.assert_close(measured.centre_shown[:, 0], measured.centre_iou[:, 2])
    torch.testing.assert_close(measured.centre_shown[:, 1], measured.centre_iou[:, 2])
    # A box's middle is a click on the subpart, and the squares are nested about it.
    torch.testing.assert_close(measured.box_iou, measured.centre_iou)
    torch.testing.assert_close(measured.box_predicted, PREDICTED.expand(6, 3))


def test_the_questions_are_a_click_in_the_centre_a_click_anywhere_and_a_box():
    sam, (measured,) = measure(whole_part_and_a_guess, clicks=3, images=9)
    centre, scattered, box = sam.calls[0], sam.calls[3], sam.calls[6]
    assert len(sam.calls) == 7 and [call.boxes is not None for call in sam.calls] == [False] * 6 + [True]
    sides = box.boxes[:, 2:] - box.boxes[:, :2] + 1
    assert (sides[:, 0] == sides[:, 1]).all() and set(sides[:, 0].tolist()) <= {20.0, 12.0, 6.0}
    middle = (box.boxes[:, :2] + box.boxes[:, 2:]) / 2
    assert ((centre.points[0][:, 0] - middle).abs() <= 1).all()
    off = (scattered.points[0][:, 0] - middle).abs()
    assert (off <= sides / 2).all() and off.max() > 5 and ((off / sides).mean() - 0.25).abs() < 0.05
    assert measured.centre_shown.shape == measured.random_shown.shape == (27, 3)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_clicks_anywhere_are_those_of_the_seed(seed):
    sam, _ = measure(whole_part_and_a_guess, seed=seed)
    scattered, box = sam.calls[2], sam.calls[4]
    side = torch.arange(scenes_side := nested_scenes(1).images.shape[-1])
    x0, y0, x1, y1 = box.boxes.T[..., None]
    targets = ((side >= y0) & (side <= y1))[:, :, None] & ((side >= x0) & (side <= x1))[:, None]
    assert targets.shape == (6, scenes_side, scenes_side)
    expected = sample_pixels(targets, torch.Generator().manual_seed(seed))
    assert scattered.points[0][:, 0].equal(expected.to(scattered.points[0]))


@pytest.mark.parametrize("prompts_per_batch", [1, 4, 100])
def test_batches_hold_all_prompts_once(prompts_per_batch):
    _, parts = measure(whole_part_and_a_guess, prompts_per_batch=prompts_per_batch)
    assert [len(part.valid_iou) for part in parts] == {1: [1] * 6, 4: [4, 2], 100: [6]}[prompts_per_batch]
    joined = Measurements.join(parts)
    assert joined.image_index.tolist() == [0, 0, 0, 1, 1, 1]
    _, (whole,) = measure(whole_part_and_a_guess)
    assert joined.centre_iou.equal(whole.centre_iou) and joined.valid_iou.equal(whole.valid_iou)

"""Which candidate finds which target, worked out by hand, and the sample that is trained."""

import pytest
import torch

from minisam.detect.assign import IGNORED, NEGATIVE, assign_by_iou, sample
from minisam.detect.boxes import box_iou, clip_boxes

TARGETS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [100.0, 0.0, 110.0, 10.0]])


def beside(target: int, width: float) -> list[float]:
    """A box inside a target from its left edge on: IoU width / 10."""
    x = TARGETS[target, 0].item()
    return [x, 0.0, x + width, 10.0]


def assigned(boxes, targets=TARGETS, **options):
    return assign_by_iou(torch.tensor(boxes), targets, 0.7, 0.3, 0.3, **options).tolist()


def test_iou_by_hand():
    first = torch.tensor([[0.0, 0, 2, 2], [0, 0, 0, 5]])
    second = torch.tensor([[1.0, 0, 3, 2], [2, 0, 4, 2], [0, 0, 2, 2]])
    torch.testing.assert_close(box_iou(first, second), torch.tensor([[1 / 3, 0, 1], [0.0, 0, 0]]))


def test_boxes_are_clipped_to_height_and_width():
    assert clip_boxes(torch.tensor([[-5.0, 3, 99, 99]]), (20, 40)).tolist() == [[0, 3, 40, 20]]


def test_positive_negative_and_between():
    boxes = [beside(0, 9), beside(0, 6.9), beside(0, 2.9), beside(0, 7), [50.0, 50.0, 60.0, 60.0]]
    assert assigned(boxes) == [0, IGNORED, NEGATIVE, 0, NEGATIVE]


def test_an_iou_that_is_just_a_threshold():
    boxes = torch.tensor([beside(0, 9), beside(0, 5), beside(1, 5)])

    def assigned_by(positive, negative, lowest):
        return assign_by_iou(boxes, TARGETS, positive, negative, lowest).tolist()

    assert assigned_by(0.75, 0.5, 0.75) == [0, IGNORED, IGNORED]
    assert assigned_by(0.5, 0.5, 0.75) == [0, 0, 1]
    assert assigned_by(0.75, 0.75, 0.5) == [0, NEGATIVE, 1]


def test_every_target_gets_its_best_candidates_with_all_ties_unless_they_are_too_far():
    boxes = [beside(0, 9), beside(1, 5), beside(1, 5), beside(1, 4)]
    assert assigned(boxes) == [0, 1, 1, IGNORED]
    assert assigned(boxes, low_quality=False) == [0, IGNORED, IGNORED, IGNORED]
    assert assigned([beside(0, 9), beside(1, 2)]) == [0, NEGATIVE]


def test_the_best_of_a_target_is_given_to_it_even_if_another_target_is_nearer():
    near = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 16.0]])
    box = [[0.0, 0.0, 10.0, 10.0]]  # IoU 1 and 0.625, the best of both
    assert assigned(box, near) == [1]
    assert assigned(box, near, low_quality=False) == [0]


def test_without_targets_or_candidates():
    assert assigned([beside(0, 9)], torch.zeros(0, 4)) == [NEGATIVE]
    assert assign_by_iou(torch.zeros(0, 4), TARGETS, 0.7, 0.3, 0.3).tolist() == []


def test_a_sample_has_at_most_its_share_of_positives_and_is_filled_with_negatives():
    matched = torch.tensor([0, 1, NEGATIVE, IGNORED] * 50)
    positives, negatives = sample(matched, 64, 0.125, torch.Generator().manual_seed(0))
    assert len(positives) == 8 and len(set(positives.tolist())) == 8 and (matched[positives] >= 0).all()
    assert len(negatives) == 50 and (matched[negatives] == NEGATIVE).all()
    few, rest = sample(torch.tensor([NEGATIVE, 0]), 64, 0.5, torch.Generator())
    assert few.tolist() == [1] and rest.tolist() == [0]


def test_where_positives_are_few_negatives_take_their_places():
    assigned = torch.full((50,), NEGATIVE)
    assigned[[3, 30]] = 0
    positives, negatives = sample(assigned, 16, 0.5, torch.Generator().manual_seed(0))
    assert sorted(positives.tolist()) == [3, 30] and len(negatives.unique()) == 14


def test_a_sample_is_random():
    matched = torch.full((100,), NEGATIVE)
    one, two = (sample(matched, 10, 0.5, torch.Generator().manual_seed(seed))[1].tolist() for seed in (0, 1))
    assert one != two and max(one + two) > 50


@pytest.mark.parametrize("positives", [0, 1, 3, 4])
def test_few_candidates_are_all_taken_and_nothing_is_drawn(positives):
    assigned = torch.tensor([0] * positives + [NEGATIVE] * 4)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    found, rest = sample(assigned, 8, 0.5, generator)
    assert found.tolist() == list(range(positives)) and rest.tolist() == list(range(positives, positives + 4))
    assert generator.get_state().equal(before)


def test_boxes_without_an_area_overlap_nothing():
    """Not even themselves; the result is a number, not NaN."""
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 2, 2, 2], [2, 0, 2, 4], [0, 0, 4, 4]])
    expected = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])
    assert box_iou(boxes, boxes).equal(expected)

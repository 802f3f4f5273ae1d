"""E2's arms differ in the IoU loss alone, and its criterion is about all three differences."""

from dataclasses import fields

import pytest
import torch
from matplotlib.figure import Figure

from minisam.build import build_sam
from minisam.evaluate.measure import Measurements
from minisam.experiments import e02_iou_head
from minisam.experiments.e02_iou_head import (
    ALL,
    ARMS,
    WINNER,
    draw_groups,
    draw_reliability,
    renew_iou_head_,
    run,
)
from minisam.experiments.experiment import Settings
from minisam.experiments.shared.ranking import CHOICES, ranking_of_arm
from minisam.train.losses import segmentation_loss

TARGETS = torch.zeros(2, 4, 4)
TARGETS[:, :2] = 1
LOGITS = torch.stack([TARGETS - 2, TARGETS * 2 - 1, TARGETS + 1], dim=1) * 8
"""Masks of each prompt: nothing, the target and everything; IoU 0, 1 and 1/2."""
PREDICTED = torch.tensor([[0.1, 0.7, 0.0], [0.5, 1.2, 0.5]])


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("all, squared", (0.01 + 0.09 + 0.25 + 0.25 + 0.04 + 0) / 6),
        ("all, absolute", (0.1 + 0.3 + 0.5 + 0.5 + 0.2 + 0) / 6),
        ("winner, squared", (0.09 + 0.04) / 2),
        ("winner, absolute", (0.3 + 0.2) / 2),
    ],
)
def test_the_loss_of_each_arm_by_hand(label, expected):
    loss, plain = ARMS[label].loss(LOGITS, PREDICTED, TARGETS), segmentation_loss(LOGITS, PREDICTED, TARGETS)
    assert loss.iou.item() == pytest.approx(expected)
    assert (loss.total - loss.iou).item() == pytest.approx((plain.total - plain.iou).item())


def test_the_arms_are_four_runs_that_share_all_but_the_loss():
    assert len({arm.name for arm in ARMS.values()}) == 4
    assert {(arm.change, arm.recipe) for arm in ARMS.values()} == {(renew_iou_head_, e02_iou_head.RECIPE)}


def test_a_new_iou_head_leaves_all_else():
    sam, own = build_sam("nano"), build_sam("nano")
    renew_iou_head_(sam)
    renewed = {name for name, value in own.state_dict().items() if not value.equal(sam.state_dict()[name])}
    assert renewed == {
        name for name in own.state_dict() if "iou_token" in name or "iou_prediction_head" in name
    }


def clicks(predicted) -> Measurements:
    """Measurements of eight clicks, on an image each, whose masks have IoU 0.6, 0.3 and 0."""
    measured = {field.name: torch.empty(0) for field in fields(Measurements)}
    true, image = torch.tensor([0.6, 0.3, 0.0]).expand(8, 3), torch.arange(8)
    guess = torch.tensor(predicted).expand(8, 3)
    return Measurements(**measured | {"image_index": image, "centre_iou": true, "centre_predicted": guess})


GOOD, HIGH, WORST_FIRST, MIDDLE_LAST = [0.6, 0.3, 0.0], [0.6, 0.5, 0.4], [0.2, 0.3, 0.4], [0.6, 0.2, 0.3]


@pytest.mark.parametrize(
    ("of_all", "of_winner", "passed"),
    [
        (GOOD, HIGH, True),
        (GOOD, GOOD, False),
        (WORST_FIRST, HIGH, False),
        (MIDDLE_LAST, HIGH, False),
    ],
)
def test_the_criterion(of_all, of_winner, passed, monkeypatch, tmp_path):
    given = {label: [clicks(GOOD)] for label in ARMS} | {ALL: [clicks(of_all)], WINNER: [clicks(of_winner)]}
    monkeypatch.setattr(e02_iou_head, "measure_arms", lambda *_, **__: (given, torch.arange(8)))
    outcome = run(build_sam("nano"), Settings.short(tmp_path))
    assert outcome.passed is passed
    if passed:
        assert "+0.300 IoU better than one at random" in outcome.finding
        assert "over-estimates the other two by +0.300" in outcome.finding
        assert "outputs 1, 2 and 3 fit best in 100 %, 0 %, 0 % of the cases" in outcome.finding
        assert (
            "winner's head is off by +0.00, +0.20, +0.40, that of all three by +0.00, +0.00, +0.00"
            in outcome.finding
        )
        assert [axes.get_xticklabels()[1].get_text() for axes in outcome.figure.axes[::2]] == [
            "ranked\nfirst",
            "the\nothers",
        ]
        assert outcome.values["winner, squared, minus all, squared"]["over-estimate of the others"][0] == 0.3


def test_what_is_drawn():
    left, right = Figure().subplots(1, 2)
    measured = {ALL: [clicks(GOOD)], WINNER: [clicks(HIGH), clicks([0.75, 0.55, 0.45])]}
    draw_groups(
        left,
        {label: ranking_of_arm(runs, torch.arange(8)) for label, runs in measured.items()},
        dict.fromkeys(CHOICES, "a label"),
    )
    heights = [[bar.get_height() for bar in bars] for bars in left.containers if len(bars) == 4]
    assert heights == [pytest.approx([0.6, 0.6, 0.3, 0.0])] * 2
    draw_reliability(right, measured)
    good, high, diagonal = (line.get_xydata().tolist() for line in right.lines)
    assert good == [pytest.approx([p, p]) for p in (0.0, 0.3, 0.6)] and diagonal == [[0, 0], [1, 1]]
    assert high == [pytest.approx(point) for point in ([0.425, 0.0], [0.525, 0.3], [0.6, 0.6], [0.75, 0.6])]

"""Curves have a value for each of 1 to 9 clicks, and gains are the first arm minus the second."""

from types import SimpleNamespace

import pytest
import torch

from minisam.experiments.shared.click_curves import curves_by_clicks, figure_of, gains_by_clicks

IMAGE = torch.tensor([0, 1, 1])
RISING = torch.arange(1, 10) / 10
"""The IoU after each click."""


def runs_of(*heights):
    """A run for each height, of three targets with that much less IoU."""
    return [SimpleNamespace(centre_shown=(RISING - height).expand(3, -1)) for height in heights]


MEASURED = {"one": runs_of(0.0, 0.02), "other": runs_of(0.05, 0.05)}


def test_curves_and_gains_at_every_number_of_clicks():
    curves = curves_by_clicks(MEASURED, IMAGE)
    assert {n: e.value for n, e in curves["one"].items()} == pytest.approx(
        {n: n / 10 - 0.01 for n in range(1, 10)}
    )
    gains = gains_by_clicks(MEASURED, IMAGE, [("one", "other")])
    assert {n: e.value for n, e in gains.pop("one − other").items()} == pytest.approx(
        dict.fromkeys(range(1, 10), 0.04)
    )
    assert not gains


def test_the_figure_shows_curves_on_the_left_and_gains_on_the_right():
    curves, gains = (
        curves_by_clicks(MEASURED, IMAGE),
        gains_by_clicks(MEASURED, IMAGE, [("one", "other")]),
    )
    left, right = figure_of(curves, gains).axes
    assert (left.get_ylabel(), right.get_ylabel()) == (
        "mIoU of the mask shown",
        "difference of mIoU, target by target",
    )
    for axes, shown in ((left, curves), (right, gains)):
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        for label, curve in shown.items():
            assert lines[label] == [[n, pytest.approx(e.value)] for n, e in curve.items()]
        assert list(axes.get_xticks()) == list(range(1, 10)) and len(axes.collections) == len(shown)


def test_what_is_shown_after_a_click_may_be_worse_than_before():
    """The curve is of the mask that the user sees, not of the best one so far."""
    iou = torch.tensor([0.5, 0.9, 0.4, 0.8, 0.7, 0.6, 0.65, 0.3, 0.95])
    curves = curves_by_clicks({"arm": [SimpleNamespace(centre_shown=iou.expand(3, -1))]}, IMAGE)
    assert [e.value for e in curves["arm"].values()] == pytest.approx(iou.tolist())

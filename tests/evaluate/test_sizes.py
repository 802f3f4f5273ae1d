"""Targets by the share of the image they cover: which size a target has, and what is averaged in it."""

from dataclasses import fields

import pytest
import torch

from minisam.evaluate import WorldResult
from minisam.evaluate.measure import Measurements, share_of_image
from minisam.evaluate.sizes import SizeResult, by_size
from minisam.evaluate.tables import markdown_tables

SHARE = [0.001, 0.02, 0.0799, 0.08, 0.2, 0.95]


def measured(clicks: int = 5) -> Measurements:
    """Six targets on three images: all IoUs are 0.1 times the target's number, plus 0.01 times the click's."""
    number = torch.arange(6) / 10
    values = {field.name: torch.empty(0) for field in fields(Measurements)}
    shown = number[:, None] + torch.arange(clicks) / 100
    ranks = torch.tensor([0.1, 0.9, 0.2]).expand(6, 3)
    values |= {
        "image_index": torch.tensor([0, 0, 1, 1, 2, 2]),
        "share": torch.tensor(SHARE, dtype=torch.float64),
    }
    values |= {"centre_iou": number[:, None] + torch.tensor([0.0, 0.05, 0.02]), "centre_shown": shown}
    values |= {"box_iou": number[:, None] + torch.tensor([0.07, 0.03, 0.0]), "box_predicted": ranks}
    return Measurements(**values | {"box_single": number})


def test_a_target_at_a_limit_belongs_to_the_larger_size():
    sizes = by_size(measured())
    assert [size.name for size in sizes] == ["under 2 %", "2 to 8 %", "8 to 20 %", "20 % or more"]
    assert [size.masks for size in sizes] == [1, 2, 1, 2]


def test_each_metric_is_the_mean_of_its_size_alone():
    middle = by_size(measured())[1].metrics
    expected = {
        "oracle": 0.2,
        "top1": 0.15,
        "box_top1": 0.18,
        "box_single": 0.15,
        "centre_3": 0.17,
        "centre_5": 0.19,
    }
    assert {name: estimate.value for name, estimate in middle.items()} == pytest.approx(expected)
    assert middle["box_single"].low == pytest.approx(0.1) and middle["box_single"].high == pytest.approx(0.2)


def test_sizes_without_a_target_and_clicks_that_were_not_made_are_left_out():
    large = by_size(measured(clicks=3), limits=(0.0005, 0.5))
    assert [(size.name, size.masks) for size in large] == [("0.05 to 50 %", 5), ("50 % or more", 1)]
    assert "centre_3" in large[0].metrics and "centre_5" not in large[0].metrics


def test_the_share_is_that_of_the_image_without_its_padding():
    targets = torch.zeros(2, 8, 8, dtype=torch.bool)
    targets[0, :4], targets[1, :2, :3] = True, True
    assert share_of_image(targets, 4, 8).tolist() == [1, 6 / 32]


def test_the_table_has_a_row_for_each_size():
    sizes = by_size(measured())
    world = WorldResult("own", 3, 6, {}, [], sizes)
    table = markdown_tables([world]).split("own by the share of the image\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0][:4] == ["share", "masks", "1 click, best of 3", "1 click, top-1"]
    assert [row[:2] for row in cells[2:]] == [[size.name, str(size.masks)] for size in sizes]
    assert cells[2][2] == "0.050" and cells[3][5] == "0.150 ± 0.050"
    assert "by the share" not in markdown_tables([WorldResult("own", 3, 6, {}, [])])


@pytest.mark.parametrize(
    ("above", "below", "name"),
    [
        (0.0, 0.02, "under 2 %"),
        (0.02, 0.08, "2 to 8 %"),
        (0.5, 1.0, "50 to 100 %"),
        (0.2, 2.0, "20 % or more"),
    ],
)
def test_a_size_is_named_by_its_limits(above, below, name):
    assert SizeResult(above, below, 3, {}).name == name

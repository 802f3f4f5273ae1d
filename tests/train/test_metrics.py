"""Rows of a training run: which numbers of its rounds they hold, and that a file gives them back."""

from __future__ import annotations

import math

import pytest
import torch

from minisam.errors import CheckpointError
from minisam.train.losses import SegmentationLoss
from minisam.train.metrics import SAM_METRICS, describe_rounds, mean_row, read_rows, write_rows


def round_of(number: float, true: list[list[float]], shown: list[float]) -> SegmentationLoss:
    losses = (torch.tensor(number + place / 10) for place in range(4))
    return SegmentationLoss(*losses, torch.tensor(true), torch.tensor(shown))


def test_a_row_holds_the_first_rounds_losses_and_the_last_rounds_iou():
    first = round_of(1.0, [[0.1, 0.8, 0.3], [0.4, 0.2, 0.0]], [0.1, 0.4])
    last = round_of(5.0, [[0.9], [0.7]], [0.9, 0.7])
    row = describe_rounds([first, round_of(3.0, [[0.0], [0.0]], [0.0, 0.0]), last])
    expected = {
        "focal": 1.1,
        "dice": 1.2,
        "iou_loss": 1.3,
        "oracle": 0.6,
        "top1": 0.25,
        "last": 0.8,
        "rounds": 3,
    }
    assert {name: float(value) for name, value in row.items()} == pytest.approx(expected)


def test_after_a_single_round_the_last_mask_is_the_one_that_it_ranked_first():
    """Not the best of its three, which the user would not see."""
    only = round_of(1.0, [[0.1, 0.8, 0.3], [0.4, 0.2, 0.6]], [0.1, 0.4])
    row = {name: float(value) for name, value in describe_rounds([only]).items()}
    assert row["oracle"] == pytest.approx(0.7) and row["rounds"] == 1
    assert row["last"] == row["top1"] == pytest.approx(0.25)


def test_a_step_without_prompts_has_no_rounds_and_no_losses():
    row = dict(describe_rounds([]))
    assert row.pop("rounds") == 0 and all(math.isnan(value) for value in row.values())
    assert {"loss", *row, "rounds"} == set(SAM_METRICS)


def test_a_file_gives_back_the_rows_up_to_a_step_with_six_digits(tmp_path):
    path, columns = tmp_path / "metrics.csv", ("step", "loss")
    assert read_rows(path, 5) == []
    write_rows(path, [{"step": n, "loss": n / 3, "other": 0.0} for n in (1.0, 2.0, 3.0)], columns)
    assert path.read_text() == "step,loss\n1,0.333333\n2,0.666667\n3,1\n"
    assert read_rows(path, 2) == [{"step": 1.0, "loss": 0.333333}, {"step": 2.0, "loss": 0.666667}]
    assert len(read_rows(path, 9)) == 3 and read_rows(path, 0) == []


def test_a_file_with_other_columns_is_written_again_with_nan_where_a_row_has_none(tmp_path):
    write_rows(tmp_path / "metrics.csv", [{"step": 1.0}], ("step", "loss"))
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n1,nan\n"


def test_a_row_is_the_mean_of_its_steps_and_leaves_out_those_without_a_value():
    steps = [torch.tensor([1.0, math.nan, math.nan]), torch.tensor([4.0, 0.5, math.nan])]
    row = mean_row(torch.stack(steps), ("loss", "oracle", "last"))
    assert (row["loss"], row["oracle"]) == (2.5, 0.5) and math.isnan(row["last"])


@pytest.mark.parametrize("content", [b"step;loss\n1;2\n", b"step,loss\n1\n", b"loss\n1\n", b"\xff\xfe"])
def test_a_file_that_was_changed_is_named(content, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content + b"\n1")
    with pytest.raises(CheckpointError, match=r"metrics\.csv is not as it was written; .* delete it"):
        read_rows(path, 5)

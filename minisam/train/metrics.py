"""The metrics of a training run: a row for every 20 steps, in a CSV file that survives a kill.

A row: step, seconds and images so far, the learning rate of this step, and means over the steps since the row
before.  Of SAM: loss; of the first round its focal, dice and IoU losses, the IoU of the best of three masks (oracle)
and of the one ranked first (top1); the IoU after the last round (last), and the number of rounds.  Where a step gave
no prompts, 0 rounds and nan for what belongs to them; a mean leaves nan out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.train.losses import SegmentationLoss

PROGRESS = ("step", "seconds", "images", "lr")
SAM_METRICS = ("loss", "focal", "dice", "iou_loss", "oracle", "top1", "last", "rounds")
EVERY = 20
"""Steps of a row."""

Row = dict[str, float]
Metrics = Mapping[str, Tensor | float]
"""What a step measures: numbers, or tensors without an axis that stay on the device."""


def describe_rounds(rounds: list[SegmentationLoss]) -> Metrics:
    """What the rounds of a step decide of `SAM_METRICS`: all but the loss."""
    if not rounds:
        return dict.fromkeys(("focal", "dice", "iou_loss", "oracle", "top1", "last"), math.nan) | {
            "rounds": 0.0
        }
    first, last = rounds[0], rounds[-1]
    return {
        "focal": first.focal,
        "dice": first.dice,
        "iou_loss": first.iou,
        "oracle": first.true_iou.amax(dim=1).mean(),
        "top1": first.shown_iou.mean(),
        "last": last.shown_iou.mean(),
        "rounds": float(len(rounds)),
    }


def mean_row(steps: Tensor, names: Sequence[str]) -> Row:
    """The means of the metrics of some steps, [steps, len(names)]; the only moment that waits for a GPU."""
    means = steps.cpu().double().nanmean(dim=0)
    return dict(zip(names, means.tolist(), strict=True))


def read_rows(path: Path, step: int) -> list[Row]:
    """The rows of a metrics file up to a step; none where there is no file.

    Raises CheckpointError for a file with anything but rows of numbers.
    """
    if step == 0 or not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        return [row for row in rows if row["step"] <= step]
    except (ValueError, TypeError, KeyError, csv.Error):
        raise CheckpointError(
            f"{path} is not as it was written; restore it, or delete it to resume without its rows"
        ) from None


def write_rows(path: Path, rows: list[Row], columns: Sequence[str]) -> None:
    """Write these columns of all rows, whole or not at all, with six digits; nan where a row has none."""
    lines = [",".join(columns)]
    lines += [",".join(f"{row.get(name, math.nan):.6g}" for name in columns) for row in rows]
    write_atomically(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))

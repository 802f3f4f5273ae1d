"""The metrics of a training run: a row a step, in a CSV file that survives a kill.

A row: step, seconds and images so far, learning rate, loss; of the first round its focal, dice and IoU losses,
the IoU of the best of three masks (oracle) and of the one ranked first (top1); the IoU after the last round
(last), and the number of rounds.  Where a step gave no prompts, 0 rounds and nan for what belongs to them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from minisam.files import write_atomically
from minisam.train.losses import SegmentationLoss

METRICS = (
    "step",
    "seconds",
    "images",
    "lr",
    "loss",
    "focal",
    "dice",
    "iou_loss",
    "oracle",
    "top1",
    "last",
    "rounds",
)


def describe_rounds(rounds: list[SegmentationLoss]) -> dict[str, float]:
    """The part of a row that the rounds of a step decide."""
    if not rounds:
        return dict.fromkeys(("focal", "dice", "iou_loss", "oracle", "top1", "last"), math.nan) | {
            "rounds": 0.0
        }
    first, last = rounds[0], rounds[-1]
    return {
        "focal": first.focal.item(),
        "dice": first.dice.item(),
        "iou_loss": first.iou.item(),
        "oracle": first.true_iou.amax(dim=1).mean().item(),
        "top1": first.shown_iou.mean().item(),
        "last": last.shown_iou.mean().item(),
        "rounds": float(len(rounds)),
    }


def read_rows(path: Path, steps: int) -> list[dict[str, float]]:
    """The first `steps` rows of a metrics file; none where there is no file."""
    if steps == 0 or not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)][:steps]


def write_rows(path: Path, rows: list[dict[str, float]], columns: Sequence[str] = METRICS) -> None:
    """Write these columns of all rows, whole or not at all, with six digits."""
    lines = [",".join(columns)] + [",".join(f"{row[name]:.6g}" for name in columns) for row in rows]
    write_atomically(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))


def mean_of(rows: list[dict[str, float]], key: str) -> float:
    return sum(row[key] for row in rows) / max(1, len(rows))

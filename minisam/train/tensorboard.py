"""The rows of metrics.csv and validation.csv for TensorBoard, in the run's folder: `tensorboard --logdir runs`.

Every save appends the rows since the one before. A resumed run continues its curves: rows that an earlier process wrote
after its last save count no more (`purge_step`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from minisam.errors import MinisamError
from minisam.train.metrics import Row

FOLDER = "tensorboard"


def summary_writer() -> Any:
    """torch's SummaryWriter.  Raises MinisamError if the library tensorboard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MinisamError("--log tensorboard needs a library: pip install tensorboard") from None
    return SummaryWriter


class TensorBoard:
    """Events of one process; `step` is where the run begins or resumes."""

    def __init__(self, folder: Path, step: int) -> None:
        is_new = not any((folder / FOLDER).glob("events.*"))
        self.written = {"train": -1.0 if is_new else step, "validation": -1.0 if is_new else step}
        self.writer = summary_writer()(str(folder / FOLDER), purge_step=None if is_new else step + 1)

    def add(self, kind: str, rows: list[Row]) -> None:
        """Write the rows that are new, each of its numbers as a curve."""
        for row in rows:
            if row["step"] > self.written[kind]:
                for name, value in row.items():
                    if name != "step" and not math.isnan(value):
                        self.writer.add_scalar(f"{kind}/{name}", value, int(row["step"]))
                self.written[kind] = row["step"]
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

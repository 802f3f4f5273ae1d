"""The figure of a training run, updated as it trains: loss and IoU against steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view

from minisam.files import write_atomically
from minisam.train.metrics import Row

CURVES = {
    "oracle": ("1 prompt, best of 3", "tab:green"),
    "top1": ("1 prompt, highest predicted IoU", "tab:blue"),
    "last": ("after the last round", "tab:red"),
}


def save_progress_figure(path: Path, rows: list[Row], title: str) -> None:
    """Draw metric rows as a PNG; curves are running means over 1/50 of the run."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss_axes, iou_axes = figure.subplots(1, 2)
    window = max(1, len(rows) // 50)
    steps = [row["step"] for row in rows][window - 1 :]
    loss_axes.plot(steps, running_mean([row["loss"] for row in rows], window), color="black")
    loss_axes.set(xlabel="step", ylabel="loss", title=title)
    for key, (label, colour) in CURVES.items():
        iou_axes.plot(steps, running_mean([row[key] for row in rows], window), label=label, color=colour)
    iou_axes.set(xlabel="step", ylabel="IoU with the target", ylim=(0, 1))
    iou_axes.legend(loc="lower right")
    for axes in (loss_axes, iou_axes):
        axes.grid(alpha=0.3)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=100))


def running_mean(values: list[float], window: int) -> np.ndarray:
    """Means of `window` neighbours, len(values) − window + 1 of them; nan where one of them is."""
    return sliding_window_view(np.array(values), window).mean(axis=1)

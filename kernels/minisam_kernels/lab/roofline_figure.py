"""A figure of a GPU's roofline, with each kernel's floor and measured time.

Horizontal axis: FLOP per byte that has to move.  Vertical axis: FLOP per second.  Under the sloping part, memory is
the limit; under the flat part, the tensor cores. A ring lies below the roofline if exponentials take the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minisam_kernels.lab.gpus import Gpu, gpu_of_device
from minisam_kernels.lab.results import OURS, committed_results
from minisam_kernels.lab.roofline import floor_on, rate
from minisam_kernels.lab.work import Work


@dataclass(frozen=True)
class Point:
    """One kernel at one shape; `seconds` is a measured time."""

    label: str
    work: Work
    seconds: float | None = None


def save_roofline_figure(file: BinaryIO, gpu: Gpu, points: Sequence[Point]) -> None:
    """Draw a PNG: rings for floors, dots for measured times, a line from one to the other."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.subplots()
    intensity = np.logspace(0, 4, 200)
    for dtype, style in (("bf16", "-"), ("fp32", "--")):
        if any((point.work.dtype == "fp32") == (dtype == "fp32") for point in points):
            roof = np.minimum(rate(gpu, "products", dtype), intensity * gpu.bytes)
            label = "fp32 units, memory" if dtype == "fp32" else "tensor cores (16 bit), memory"
            axes.plot(intensity, roof / 1e12, style, color="black", linewidth=1.2, label=label)

    palette = matplotlib.colormaps["tab10"]
    for place, point in enumerate(points):
        colour = palette(place % 10)
        flop = point.work.total("products")
        x = flop / point.work.total("bytes")
        floor = floor_on(gpu, point.work)
        label = f"{point.label}: floor {floor.floor * 1e6:.0f} µs ({floor.limit})"
        best = flop / floor.floor / 1e12
        axes.plot(
            x, best, "o", markersize=9, fillstyle="none", color=colour, markeredgewidth=1.6, label=label
        )
        if point.seconds is not None:
            reached = flop / point.seconds / 1e12
            axes.plot([x, x], [best, reached], color=colour, linewidth=0.8)
            axes.plot(x, reached, "o", color=colour, label=f"    measured {point.seconds * 1e6:.0f} µs")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="FLOP for every byte that has to move",
        ylabel="TFLOP/s",
        title=f"{gpu.name}: the floor of each kernel (ring) and what was measured (dot)",
    )
    axes.grid(which="both", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(file, format="png", dpi=120)


def measured_points(gpu: Gpu, model: str, batch: int, dtype: str) -> dict[tuple[str, str], float]:
    """Our committed times in seconds on that GPU, by kernel and direction."""
    return {
        (item.kernel, item.direction): item.milliseconds[OURS] / 1e3
        for results in committed_results()
        if gpu_of_device(results.device) is gpu
        for item in results.kernels
        if (item.model, item.batch, item.dtype) == (model, batch, dtype) and OURS in item.milliseconds
    }

"""A figure of a launch: every tensor as a grid of cells, coloured by the program that accesses them.

A tensor [..., D] is drawn as rows of D cells, one per element.  If each cell belongs to one program, colours are
programs, and each program's number is in the middle of its cells. If programs share cells, darker grey means more
programs. Cells that no program accesses stay white.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from minisam_kernels.lab.trace import Touched, TracedLaunch

MOST_NUMBERS = 40


def save_trace_figure(file: BinaryIO, launches: Sequence[TracedLaunch]) -> None:
    """Draw a PNG: one row per launch, with a panel for each tensor that is read or written."""
    panels = [
        [(t, kind) for t in launch.tensors for kind in ("reads", "writes") if getattr(t, kind)]
        for launch in launches
    ]
    columns = max(len(row) for row in panels)
    figure = Figure(figsize=(2.6 * columns + 0.6, 3.9 * len(launches)), layout="constrained")
    rows = figure.subfigures(len(launches), 1, squeeze=False)[:, 0]
    for row, launch, shown in zip(rows, launches, panels, strict=True):
        programs = " × ".join(map(str, launch.grid))
        row.suptitle(f"{launch.kernel}, grid {programs}")
        for axes, panel in zip(row.subplots(1, columns, squeeze=False)[0], shown, strict=False):
            draw_tensor(axes, *panel)
        for axes in row.axes[len(shown) :]:
            axes.set_axis_off()
    figure.savefig(file, format="png", dpi=120)


def draw_tensor(axes: Axes, tensor: Touched, kind: str) -> None:
    """One tensor's reads or writes."""
    width = tensor.shape[-1] if tensor.shape else 1
    counts = tensor.count(kind).reshape(-1, width)
    most = int(counts.max())
    if most <= 1:
        axes.imshow(owners(tensor, kind, width), cmap="tab20", vmin=0, vmax=19, aspect="auto")
        number_regions(axes, tensor, kind, width)
        who = "one program per cell"
    else:
        shown = np.ma.masked_equal(counts, 0)
        axes.imshow(shown, cmap=matplotlib.colormaps["Greys"], vmin=0, vmax=2 * most, aspect="auto")
        least = int(counts[counts > 0].min())
        who = f"{most} programs per cell" if least == most else f"{least} to {most} programs per cell"
    shape = " × ".join(map(str, tensor.shape))
    axes.set_title(f"{tensor.name} [{shape}]\n{kind}, {who}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True) if len(counts) > 1 else FixedLocator([0]))


def owners(tensor: Touched, kind: str, width: int) -> np.ma.MaskedArray:
    """The colour of each cell: its program's number, modulo the twenty colours; masked where there is none."""
    owner = np.full(int(np.prod(tensor.shape)), -1)
    for number, program in enumerate(sorted(getattr(tensor, kind))):
        owner[getattr(tensor, kind)[program]] = number % 20
    return np.ma.masked_less(owner.reshape(-1, width), 0)


def number_regions(axes: Axes, tensor: Touched, kind: str, width: int) -> None:
    """Write each program's index where most of its cells are; nothing if there are too many to read."""
    table = getattr(tensor, kind)
    if len(table) > MOST_NUMBERS:
        return
    for program, cells in sorted(table.items()):
        rows, columns = np.nonzero(cells.reshape(-1, width))
        label = ",".join(map(str, program)).removesuffix(",0").removesuffix(",0")
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
        axes.text(
            float(np.median(columns)),
            float(np.median(rows)),
            label,
            ha="center",
            va="center",
            fontsize=7,
            bbox=box,
        )

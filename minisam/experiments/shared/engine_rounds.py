"""Statistics of a round of an engine, with intervals over its images and over engines; and the figure of E6.

    clicks per mask  all clicks, including those on skipped objects, over all masks kept
    share over 0.9   of the masks kept, by their IoU with the ground truth

Both are ratios of sums over images; images and engines are resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minisam.engine.figure import COLOURS, show_richest
from minisam.engine.settings import Round
from minisam.engine.tally import Tally
from minisam.evaluate.bootstrap import Estimate, estimate
from minisam.experiments.shared.arms import arm_weights


@dataclass(frozen=True)
class Collected:
    """A round of all engines together; `seconds` and `masks` for each image, the others for each mask."""

    masks: Estimate
    clicks: Estimate
    seconds: Estimate
    over_90: Estimate


def collected(engines: Sequence[Sequence[Mapping[str, Any]]]) -> Collected:
    """From the records of a round's images, equally many for each engine."""
    tallies = [Tally.of([record]) for records in engines for record in records]
    sums = torch.tensor([[t.pictures, t.masks, t.clicks, t.seconds, t.over_90] for t in tallies]).double()
    weights = arm_weights(torch.arange(len(engines[0])), len(engines))

    def ratio(above: int, below: int) -> Estimate:
        return estimate(lambda w: (w @ sums[:, above]) / (w @ sums[:, below]).clamp(min=1), weights)

    return Collected(masks=ratio(1, 0), clicks=ratio(2, 1), seconds=ratio(3, 1), over_90=ratio(4, 1))


def rounds_figure(
    rounds: Sequence[Round],
    miou: Mapping[str, Mapping[str, Estimate]],
    counts: Mapping[str, Collected],
    folder: Path,
) -> Figure:
    """mIoU by model at the top left, statistics of the masks beside it; below, one image of each stage."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1), squeeze=False)[:, 0]
    curves, clicks, quality = top.subplots(1, 3)
    names = [one.name for one in rounds]
    for (label, by_round), style in zip(miou.items(), ("ko-", "rs:"), strict=True):
        draw_intervals(curves, [by_round[name] for name in names], style, label)
    curves.set(ylabel="mIoU of one click, held-out scenes")
    curves.legend(fontsize=8)
    colours = [COLOURS[one.stage] for one in rounds]
    draw_bars(clicks, [counts[name].clicks for name in names], colours)
    clicks.set(ylabel="clicks per mask")
    draw_bars(quality, [counts[name].over_90 for name in names], colours)
    quality.set(ylabel="share of masks with IoU > 0.9", ylim=(0, 1.1))
    for axes in (curves, clicks, quality):
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
        axes.grid(axis="y", alpha=0.3)
    last_of_stage = {one.stage: one for one in rounds}
    for axes, (stage, one) in zip(bottom.subplots(1, len(last_of_stage)), last_of_stage.items(), strict=True):
        axes.set_axis_off()
        show_richest(axes, folder / one.collects_in, stage)
    return figure


def draw_intervals(axes: Axes, estimates: Sequence[Estimate], style: str, label: str) -> None:
    line = axes.plot([e.value for e in estimates], style, markersize=4, label=label)[0]
    low, high = [e.low for e in estimates], [e.high for e in estimates]
    axes.fill_between(range(len(estimates)), low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def draw_bars(axes: Axes, estimates: Sequence[Estimate], colours: Sequence[str]) -> None:
    values = [e.value for e in estimates]
    ends = [[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]
    axes.bar(range(len(values)), values, yerr=ends, color=colours, capsize=3)

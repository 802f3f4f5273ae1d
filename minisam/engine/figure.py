"""The figure of an engine: the quality of the model, the cost of a mask, and an image of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minisam.data.images import load_image
from minisam.data.sa1b import read_record
from minisam.engine.settings import STAGES
from minisam.predict.everything.partition import to_partition
from minisam.show.draw import show_image
from minisam.show.everything_figure import paint_labels

if TYPE_CHECKING:
    from minisam.engine.tally import RoundResult

COLOURS: dict[str, str] = dict(zip(STAGES, ("tab:grey", "tab:blue", "tab:orange", "tab:green"), strict=True))


def engine_figure(folder: Path, results: Sequence[RoundResult], rows: Sequence[dict[str, Any]]) -> Figure:
    """Four panels over the rounds so far, and below them the image with the most masks of each stage."""
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    charts, pictures = figure.subplots(2, 4)
    names = [row["round"] for row in rows]
    colours = [COLOURS[row["stage"]] for row in rows]
    points(charts[0], [row["held_out"]["top1"] for row in rows], colours)
    charts[0].set(title="mIoU of the model trained then", ylabel="one click, held-out scenes")
    bars(charts[1], [row["clicks_a_mask"] for row in rows], colours, "clicks per mask")
    bars(charts[2], [row["seconds_a_mask"] for row in rows], colours, "seconds per mask")
    bars(charts[3], [row["masks_a_picture"] for row in rows], colours, "masks per image")
    for axes in charts:
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
        axes.grid(axis="y", alpha=0.3)
    for axes in pictures:
        axes.set_axis_off()
    last_of_stage = {one.round.stage: one.round for one in results}
    for axes, (stage, one) in zip(pictures, last_of_stage.items(), strict=False):
        show_richest(axes, folder / one.collects_in, stage)
    return figure


def points(axes: Axes, intervals: Sequence[list[float]], colours: Sequence[str]) -> None:
    """[value, low, high] of each round, joined by a line."""
    axes.plot(range(len(intervals)), [value for value, _, _ in intervals], color="lightgrey", zorder=1)
    for place, ((value, low, high), colour) in enumerate(zip(intervals, colours, strict=True)):
        axes.errorbar(place, value, [[value - low], [high - value]], fmt="o", color=colour, capsize=3)


def bars(axes: Axes, values: Sequence[float], colours: Sequence[str], title: str) -> None:
    axes.bar(range(len(values)), values, color=colours)
    axes.set(title=title, ylim=(0, 1.15 * max([*values, 0.01])))
    for place, value in enumerate(values):
        axes.text(place, value, f" {value:.1f}", ha="center", va="bottom", fontsize=8)


def show_richest(axes: Axes, folder: Path, stage: str) -> None:
    """The image with the most masks."""
    records = {path: read_record(path) for path in sorted(folder.glob("sa_*.json"))}
    path = max(records, key=lambda path: len(records[path]["annotations"]))
    image = load_image(path.with_suffix(".png"))
    labels = to_partition([dict(one) for one in records[path]["annotations"]], image.shape[:2])
    show_image(axes, paint_labels(image, labels), f"{stage}: {len(records[path]['annotations'])} masks")

"""The figure of an evaluation: clicks, prompts and the reliability of predicted IoU, for every world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import CLICK_COUNTS, WorldResult
from minisam.show.figure_file import plain, save_figure

BARS = {
    "oracle": "1 click,\nbest of 3",
    "top1": "1 click,\ntop-1",
    "valid_iou": "1 click,\nvalidIoU",
    "box_top1": "box,\ntop-1",
}


def save_evaluation_figure(path: Path, results: Sequence[WorldResult], title: str) -> None:
    """Draw the results as a PNG; whiskers and bands are 95 % intervals."""
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    figure.suptitle(plain(title))
    prompts, clicks, reliability = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    palette = matplotlib.colormaps["tab10"]
    for place, result in enumerate(results):
        colour = palette(place % 10)
        draw_bars(prompts, result, place, len(results), colour)
        draw_clicks(clicks, result, colour)
        draw_reliability(reliability, result, colour)
    prompts.set(ylabel="mIoU", ylim=(0, 1), title="one prompt")
    prompts.set_xticks(range(len(BARS)), list(BARS.values()))
    clicks.set(xlabel="clicks", ylabel="mIoU", ylim=(0, 1), title="first click: centre —, random - -")
    clicks.set_xticks(CLICK_COUNTS)
    reliability.plot([0, 1], [0, 1], color="grey", linewidth=0.8, zorder=0)
    reliability.set(
        xlabel="predicted IoU", ylabel="true IoU", xlim=(0, 1), ylim=(0, 1), title="reliability, 1 click"
    )
    for axes in (prompts, clicks, reliability):
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *prompts.get_legend_handles_labels(), loc="outside lower center", ncols=len(results), frameon=False
    )
    save_figure(figure, path, dpi=120)


def draw_bars(axes: Axes, result: WorldResult, place: int, worlds: int, colour: object) -> None:
    """The bars of world number `place` of `worlds`, in groups by prompt."""
    width = 0.8 / worlds
    estimates = [result.metrics[metric] for metric in BARS]
    centres = [group - 0.4 + (place + 0.5) * width for group in range(len(BARS))]
    values, whiskers = values_and_errors(estimates)
    axes.bar(
        centres,
        values,
        width,
        yerr=whiskers,
        color=colour,
        label=plain(result.world),
        error_kw={"linewidth": 0.8},
    )


def draw_clicks(axes: Axes, result: WorldResult, colour: object) -> None:
    """mIoU over the number of clicks; the band belongs to the curve with the first click in the centre."""
    for first, style in (("centre", "-"), ("random", "--")):
        counts = [count for count in CLICK_COUNTS if f"{first}_{count}" in result.metrics]
        estimates = [result.metrics[f"{first}_{count}"] for count in counts]
        axes.plot(counts, [e.value for e in estimates], style, color=colour, marker=".")
        if first == "centre":
            axes.fill_between(
                counts,
                [e.low for e in estimates],
                [e.high for e in estimates],
                color=colour,
                alpha=0.12,
                linewidth=0,
            )


def draw_reliability(axes: Axes, result: WorldResult, colour: object) -> None:
    """A point for each tenth of predicted IoU; its size shows the frequency."""
    predicted, true, count = zip(*result.reliability, strict=True)
    sizes = [200 * n / sum(count) for n in count]
    axes.plot(predicted, true, color=colour, linewidth=0.8)
    axes.scatter(predicted, true, s=sizes, color=colour, alpha=0.7, linewidths=0)


def values_and_errors(estimates: Sequence[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Heights, and whiskers below and above."""
    values = [e.value for e in estimates]
    below = [max(0.0, e.value - e.low) for e in estimates]
    above = [max(0.0, e.high - e.value) for e in estimates]
    return values, [below, above]

"""The mIoU of arms after each number of clicks: their curves, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.measure import Measurements
from minisam.experiments.shared.arms import Label, difference, mean_of_arm

CLICKS = 9
Curve = dict[int, Estimate]
"""An estimate for each number of clicks, or for another quantity on the x axis."""


def shown_after(clicks: int, runs: list[Measurements]) -> list[Tensor]:
    """IoU [P] of the mask shown after that many clicks, the first in the centre, for each run of an arm."""
    return [run.centre_shown[:, clicks - 1] for run in runs]


def curves_by_clicks(measured: Mapping[Label, list[Measurements]], image: Tensor) -> dict[Label, Curve]:
    """mIoU of every arm after 1 to 9 clicks."""
    return {
        arm: {n: mean_of_arm(shown_after(n, runs), image) for n in range(1, CLICKS + 1)}
        for arm, runs in measured.items()
    }


def gains_by_clicks(
    measured: Mapping[str, list[Measurements]], image: Tensor, pairs: Iterable[tuple[str, str]]
) -> dict[str, Curve]:
    """How much higher the first arm of each pair is than the second, as "first − second"."""
    return {
        f"{first} − {second}": {
            n: difference(shown_after(n, measured[first]), shown_after(n, measured[second]), image)
            for n in range(1, CLICKS + 1)
        }
        for first, second in pairs
    }


def figure_of(curves: Mapping[str, Curve], gains: Mapping[str, Curve]) -> Figure:
    """mIoU on the left, its paired differences on the right."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, lines in ((left, curves), (right, gains)):
        for label, curve in lines.items():
            draw_curve(axes, curve, label)
        axes.set(xlabel="clicks", xticks=range(1, CLICKS + 1))
        axes.grid(alpha=0.3)
        axes.legend()
    right.axhline(0, color="grey", linewidth=0.8)
    left.set(ylabel="mIoU of the mask shown")
    right.set(ylabel="difference of mIoU, target by target")
    return figure


def draw_curve(
    axes: Axes, curve: Mapping[int, Estimate] | Mapping[float, Estimate], label: str, interval: bool = True
) -> None:
    """A line, with its interval as a band."""
    line = axes.plot(list(curve), [e.value for e in curve.values()], "o-", markersize=4, label=label)[0]
    if interval:
        low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
        axes.fill_between(list(curve), low, high, color=line.get_color(), alpha=0.2)

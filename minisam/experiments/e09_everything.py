"""E9: everything mode: the effect of three masks per click, of crops and of thresholds.  (SAM table 4 and section B)

The single mask of a click is mask 0 of the same network, which is trained only for prompts after the first click.
SAM's single-output form in table 4 was trained for one click.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.everything_counts import (
    ALL,
    AMONG,
    LEVELS,
    PREDICTED_IOUS,
    average_recall_of,
    recall_counts,
    records,
    scenes,
    share,
    sweep_counts,
)
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam
from minisam.predict.everything.presets import PRESETS

THREE, ONE, AS_MANY, CROPS = "three masks", "one mask", "one mask, 3 x the clicks", "three masks, crops"
CLICKS = {
    THREE: {"points_per_side": 20},
    ONE: {"points_per_side": 20, "multimask_output": False},
    AS_MANY: {"points_per_side": 35, "multimask_output": False},
    CROPS: {"points_per_side": 14, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
}
"""400, 400, 1225 (as many masks as three per click), and 14 * 14 + 4 * 7 * 7 = 392 clicks."""
PROPOSALS = {
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 0.9,
    "crop_nms_thresh": 0.9,
}
"""No filters, and few duplicates suppressed, as for the paper's proposals on LVIS."""
STABILITIES = (0.0, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Found:
    """What the generators found, counted image by image."""

    recall: dict[str, dict[str, list[tuple[int, int]]]]
    """Targets found and targets, of every arm of CLICKS and every kind of `recall_counts`."""
    sweep: dict[float, Tensor]
    """What `sweep_counts` says of every image, for each threshold of the stability."""
    images: int

    def average_recall(self, arm: str, name: str) -> Estimate:
        counts = self.recall[arm][name]
        return estimate(lambda weights: average_recall_of(counts, weights), self.weights())

    def gain(self, level: str) -> Estimate:
        """AR@1000 of three masks per click over as many single masks."""
        three, as_many = (self.recall[arm][f"{level} 1000"] for arm in (THREE, AS_MANY))
        return estimate(
            lambda weights: average_recall_of(three, weights) - average_recall_of(as_many, weights),
            self.weights(),
        )

    def of_preset(self, preset: dict[str, float]) -> list[Estimate]:
        """The precision and the recall above the two thresholds of a preset."""
        counts = self.sweep[preset["stability_score_thresh"]]
        chosen = counts[:, PREDICTED_IOUS.index(preset["pred_iou_thresh"])]
        return [estimate(lambda weights, n=n: share(chosen, n, weights), self.weights()) for n in (1, 2)]

    def weights(self) -> Tensor:
        return image_weights(torch.arange(self.images))


def run(sam: Sam, settings: Settings) -> Outcome:
    found = measure(sam, settings)
    recall = {arm: {name: found.average_recall(arm, name) for name in of} for arm, of in found.recall.items()}
    gain = {level: found.gain(level) for level in (ALL, *LEVELS)}
    filtered = found.of_preset(PRESETS["young"])
    passed = gain[ALL].low > 0 and min(gain["part"].value, gain["subpart"].value) > gain["whole"].value
    values = {
        "average_recall": {arm: {name: as_json(e) for name, e in of.items()} for arm, of in recall.items()},
        "three_minus_as_many": {level: as_json(e) for level, e in gain.items()},
        "precision_recall_masks": record_sweep(found),
        "young_precision_recall": [as_json(e) for e in filtered],
    }
    return Outcome(
        passed, finding(found, recall, gain, filtered), values, draw(recall, found.sweep, filtered)
    )


def measure(sam: Sam, settings: Settings) -> Found:
    """Proposals in four ways on the same scenes; then a generator's two thresholds, duplicates suppressed at 0.7."""
    images = len(settings.seeds) * settings.images
    recall: dict[str, dict[str, list[tuple[int, int]]]] = {arm: {} for arm in CLICKS}
    sweep: dict[float, list[Tensor]] = {stability: [] for stability in STABILITIES}
    bar = tqdm(total=images, desc="E9", delay=2, disable=None)
    for scene in scenes(sam, settings):
        for arm, clicks in CLICKS.items():
            for name, counts in recall_counts(records(sam, scene, PROPOSALS | clicks), scene[2]).items():
                recall[arm].setdefault(name, []).append(counts)
        for stability in STABILITIES:
            given = PROPOSALS | CLICKS[THREE] | {"stability_score_thresh": stability, "box_nms_thresh": 0.7}
            sweep[stability].append(sweep_counts(records(sam, scene, given, by_stability=False)))
        bar.update()
    bar.close()
    return Found(recall, {stability: torch.stack(counts) for stability, counts in sweep.items()}, images)


def finding(
    found: Found, recall: dict[str, dict[str, Estimate]], gain: dict[str, Estimate], filtered: list[Estimate]
) -> str:
    everything = [share(found.sweep[0.0][:, 0], n, every_image_once(found.images)).item() for n in (1, 2)]
    return (
        f"AR@1000 is {recall[THREE]['all 1000'].value:.2f} with three masks per click, "
        f"{recall[CROPS]['all 1000'].value:.2f} if about as many clicks are spread over the image and four crops, "
        f"{recall[ONE]['all 1000'].value:.2f} with one mask per click, and "
        f"{recall[AS_MANY]['all 1000'].value:.2f} with one mask and three times the clicks. "
        "Three masks per click gain over as many single masks "
        + ", ".join(f"{gain[level].signed()} on {level}s" for level in LEVELS)
        + f". Without thresholds {everything[0]:.0%} of the masks are correct (IoU of 0.5 and more, each object once) "
        f"and find {everything[1]:.0%} of the objects; above those of the preset young {filtered[0].value:.0%} are "
        f"correct and find {filtered[1].value:.0%}."
    )


def every_image_once(images: int) -> Tensor:
    return torch.ones(1, images, dtype=torch.float64)


def record_sweep(found: Found) -> dict[str, dict[str, list[float]]]:
    """Precision, recall and masks an image above each pair of thresholds."""
    return {
        str(stability): {
            str(threshold): [
                round(share(counts[:, n], k, every_image_once(found.images)).item(), 4) for k in (1, 2)
            ]
            + [round(counts[:, n, 1].double().mean().item(), 2)]
            for n, threshold in enumerate(PREDICTED_IOUS)
        }
        for stability, counts in found.sweep.items()
    }


def draw(
    recall: dict[str, dict[str, Estimate]], sweep: dict[float, Tensor], filtered: list[Estimate]
) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    draw_bars(left, recall, [f"all {k}" for k in AMONG], [f"AR@{k}" for k in AMONG])
    left.set(ylabel="average recall", title="the k best masks of an image")
    left.legend(loc="upper left", fontsize=8)
    draw_bars(middle, recall, [f"{level} 1000" for level in LEVELS], list(LEVELS))
    middle.set(title="AR@1000 by level")
    draw_sweep(right, sweep, filtered)
    return figure


def draw_bars(
    axes: Axes, recall: dict[str, dict[str, Estimate]], names: list[str], labels: list[str]
) -> None:
    for number, (arm, of) in enumerate(recall.items()):
        shown = [of[name] for name in names]
        places = np.arange(len(names)) + 0.2 * (number - 1.5)
        whiskers = [[e.value - e.low for e in shown], [e.high - e.value for e in shown]]
        axes.bar(places, [e.value for e in shown], 0.18, yerr=np.maximum(whiskers, 0), label=arm)
    axes.set_xticks(range(len(names)), labels)
    axes.set(ylim=(0, 1))
    axes.grid(axis="y", alpha=0.3)


def draw_sweep(axes: Axes, curves: dict[float, Tensor], young: list[Estimate]) -> None:
    one = every_image_once(len(curves[0.0]))
    for stability, counts in curves.items():
        precision, recall = (
            [share(counts[:, n], k, one).item() for n in range(len(PREDICTED_IOUS))] for k in (1, 2)
        )
        some = counts[:, :, 1].sum(dim=0) > 0
        axes.plot(np.array(recall)[some], np.array(precision)[some], ".-", label=f"stability ≥ {stability}")
    precision, recall = young
    axes.errorbar(
        recall.value,
        precision.value,
        xerr=[[recall.value - recall.low], [recall.high - recall.value]],
        yerr=[[precision.value - precision.low], [precision.high - precision.value]],
        fmt="k*",
        markersize=11,
        label="preset young",
        zorder=3,
    )
    axes.set(xlabel="recall at IoU 0.5", ylabel="precision", title="dots: predicted IoU above 0, 0.05, …")
    axes.set(xlim=(0, None), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


EXPERIMENT = Experiment(
    id="E9",
    title="Everything mode",
    echoes="SAM table 4, proposals of SAM and of its single-output form, and section B",
    question="Do three masks per click find more than as many single masks, and what do the thresholds cost?",
    criterion="with as many masks, AR@1000 of three per click is above that of one per click, the interval of the "
    "difference above zero, and it gains more on parts and on subparts than on wholes",
    run=run,
)

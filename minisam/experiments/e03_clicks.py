"""E3: do more clicks help, and how much does the position of the first one matter?  (SAM figure 9, c and d)"""

from __future__ import annotations

from itertools import pairwise

from matplotlib.figure import Figure

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import CLICK_COUNTS, measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.click_curves import CLICKS
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images
from minisam.model import Sam

WORLDS = ("train", "heldout")
STARTS = {"centre": "first click in the centre", "random": "first click anywhere on it"}


def run(sam: Sam, settings: Settings) -> Outcome:
    """Simulated users click up to nine times; see minisam/evaluate/clicks.py."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(WORLDS), sharey=True)
    curves: dict[str, dict[int, list[float]]] = {}
    by_place: dict[str, dict[int, Estimate]] = {}
    for axes, world in zip(panels, WORLDS, strict=True):
        measured = measure_world(sam, world, settings.images, seeds=settings.seeds)
        for start, label in STARTS.items():
            shown = getattr(measured, f"{start}_shown")
            estimates = [mean_over_images(shown[:, n - 1], measured.image_index) for n in CLICK_COUNTS]
            curves[f"{world} {start}"] = {n: as_json(e) for n, e in zip(CLICK_COUNTS, estimates, strict=True)}
            line = axes.plot(CLICK_COUNTS, [e.value for e in estimates], "o-", label=label)[0]
            low, high = [e.low for e in estimates], [e.high for e in estimates]
            axes.fill_between(CLICK_COUNTS, low, high, color=line.get_color(), alpha=0.2)
        gain, image = measured.centre_shown - measured.random_shown, measured.image_index
        by_place[world] = {n: mean_over_images(gain[:, n - 1], image) for n in (1, CLICKS)}
        axes.set(title=f"world: {world}", xlabel="clicks", xticks=CLICK_COUNTS)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="mIoU of the mask shown")
    panels[0].legend(loc="lower right")

    rising = all(
        curve[after][2] >= curve[before][1]
        for curve in curves.values()
        for before, after in pairwise(CLICK_COUNTS)
    ) and all(curve[CLICKS][0] > curve[1][0] for curve in curves.values())
    centre, gain = curves["train centre"], by_place["train"]
    finding = (
        f"From 1 to 9 clicks mIoU goes from {centre[1][0]:.2f} to {centre[CLICKS][0]:.2f} on scenes of the training "
        f"world. A first click in the centre is worth {gain[1].signed()} at once and {gain[CLICKS].signed()} after "
        "nine clicks."
    )
    placed = {world: {n: as_json(e) for n, e in gains.items()} for world, gains in by_place.items()}
    return Outcome(rising, finding, curves | {"centre - random": placed}, figure)


EXPERIMENT = Experiment(
    id="E3",
    title="More clicks",
    echoes="SAM figure 9, c and d",
    question="How much does each further click help, and does the place of the first one matter?",
    criterion="mIoU rises with the number of clicks, within the intervals, from both starts and on both worlds",
    run=run,
)

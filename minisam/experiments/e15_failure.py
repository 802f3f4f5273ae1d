"""E15: where does it fail?  Contrast, thinness and richness, one knob at a time.  (SAM section 8, limitations)"""

from __future__ import annotations

from matplotlib.figure import Figure

from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images
from minisam.model import Sam

SWEEPS = {
    "contrast": (0.05, 0.15, 0.3, 0.6, 1.0),
    "thinness": (0.0, 0.25, 0.5, 0.75, 1.0),
    "richness": (0.0, 0.25, 0.5, 0.75, 1.0),
}
HARDER = {"contrast": -1, "thinness": 1, "richness": 1}


def run(sam: Sam, settings: Settings) -> Outcome:
    """Best of three masks for a click in the centre, as one knob of the training world moves."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    values: dict[str, dict[str, list[float]]] = {}
    for axes, (knob, places) in zip(panels, SWEEPS.items(), strict=True):
        estimates = []
        for place in places:
            measured = measure_world(
                sam, "train", settings.images, seeds=settings.seeds, clicks=1, knobs={knob: place}
            )
            estimates.append(mean_over_images(measured.centre_iou.amax(dim=1), measured.image_index))
        values[knob] = {str(place): as_json(e) for place, e in zip(places, estimates, strict=True)}
        axes.plot(places, [e.value for e in estimates], "o-")
        axes.fill_between(places, [e.low for e in estimates], [e.high for e in estimates], alpha=0.2)
        axes.set(xlabel=knob)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="mIoU, best of three, one click")

    falls = {knob: fall(list(curve.values()), HARDER[knob]) for knob, curve in values.items()}
    told = []
    for knob, (lost, _) in falls.items():
        easy, hard = ends(list(values[knob].values()), HARDER[knob])
        told.append(f"{knob} {lost:.2f}, from {Estimate(*easy)} to {Estimate(*hard)}")
    finding = f"From the easy to the hard end of each knob mIoU loses: {'; '.join(told)}."
    return Outcome(all(clear for _, clear in falls.values()), finding, values, figure)


def ends(curve: list[list[float]], direction: int) -> tuple[list[float], list[float]]:
    """The easy and the hard end of a curve."""
    return (curve[0], curve[-1]) if direction > 0 else (curve[-1], curve[0])


def fall(curve: list[list[float]], direction: int) -> tuple[float, bool]:
    """Easy minus hard end of a curve of [value, low, high], and whether their intervals are apart."""
    easy, hard = ends(curve, direction)
    return easy[0] - hard[0], easy[1] > hard[2]


EXPERIMENT = Experiment(
    id="E15",
    title="Where it fails",
    echoes="SAM section 8: fine structures, crisp boundaries",
    question="How does mIoU fall as objects get faint, thin or cluttered?",
    criterion="on each knob the hard end lies below the easy one, their intervals apart",
    run=run,
)

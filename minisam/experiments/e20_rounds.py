"""E20: does adapting by first prompts alone spoil the corrections?  (SAM section A, training algorithm; micro-sam)

    network  ->  its mask decoder on 500 images of `xray`, with 1 or 5 rounds for each prompt  ->  1 to 9 clicks

E5 trains decoders from a new mask prompt on; here a network that can be corrected is adapted, and may forget it. Both
arms have equally many steps, with the same images, targets and first prompts, half of them boxes.  A step of five
rounds takes longer: it has five times as many losses.

Expected before the run:
    after 9 clicks   five rounds are better than one
    after 1 click    they are at most 0.02 worse
"""

from __future__ import annotations

from minisam.adapt.adapt_task import Training
from minisam.adapt.choose import Settings as Rates
from minisam.adapt.methods import Method
from minisam.evaluate.measure import Measurements
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.adapted import drawn_images, prepared, trained_copy
from minisam.experiments.shared.click_curves import (
    CLICKS,
    curves_by_clicks,
    figure_of,
    gains_by_clicks,
)
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam
from minisam.train.interactive import Rounds

NEW, OLD = "xray", "train"
RATES = Rates(3e-4, 3e-4, 240)
BEFORE, ONE, FIVE = "before", "1 round", "5 rounds"
LATER = {ONE: Rounds(0, 0), FIVE: Rounds(4, 0)}
PAIRS = ((FIVE, ONE), (ONE, BEFORE), (FIVE, BEFORE))
WORSE = 0.02


def run(sam: Sam, settings: Settings) -> Outcome:
    """Copies of `sam` are adapted."""
    found: dict[str, dict[str, list[Measurements]]] = {
        world: {name: [] for name in (BEFORE, *LATER)} for world in (NEW, OLD)
    }
    for seed in settings.seeds:
        images = drawn_images(sam, settings, (NEW,), seed)
        for name, later in LATER.items():
            how = Training(RATES, prompts_per_image=4, seed=seed, single_round_share=0.0, later=later)
            net = trained_copy(settings, "e20", name, prepared(sam, Method("decoder"), seed), images, how)
            for world, of_arm in found.items():
                of_arm[name].append(measure(net, world, settings))
    for world, of_arm in found.items():
        of_arm[BEFORE] = [measure(sam, world, settings)] * len(settings.seeds)

    image = {world: of_arm[BEFORE][0].image_index for world, of_arm in found.items()}
    curves = curves_by_clicks(found[NEW], image[NEW])
    gains = gains_by_clicks(found[NEW], image[NEW], PAIRS)
    forgotten = gains_by_clicks(found[OLD], image[OLD], PAIRS)
    (five_over_one, one, five), (_, one_old, five_old) = gains.values(), forgotten.values()
    lowest = min(five_over_one, key=lambda n: five_over_one[n].value)
    figure = figure_of(curves, gains)
    figure.suptitle(f"adapted to {NEW}, measured on {NEW}")
    finding = (
        f"On {NEW}, five rounds are {five_over_one[9].signed()} mIoU from one after nine clicks and "
        f"{five_over_one[1].signed()} after one; the difference is lowest after {lowest} click"
        f"{'s' * (lowest > 1)}, {five_over_one[lowest].signed()}. Against the given network one round changes mIoU by "
        f"{one[1].signed()} after one click and {one[9].signed()} after nine, five rounds by {five[1].signed()} and "
        f"{five[9].signed()}. On {OLD}, after nine clicks, one round changes it by {one_old[9].signed()}, five by "
        f"{five_old[9].signed()}."
    )
    return Outcome(
        five_over_one[9].low > 0 and five_over_one[1].value >= -WORSE,
        finding,
        {
            f"{world}, {name}": {str(n): as_json(e) for n, e in curve.items()}
            for world, lines in ((NEW, curves | gains), (OLD, forgotten))
            for name, curve in lines.items()
        },
        figure,
    )


def measure(sam: Sam, world: str, settings: Settings) -> Measurements:
    return measure_world(sam, world, settings.images, seeds=settings.seeds, clicks=CLICKS)


EXPERIMENT = Experiment(
    id="E20",
    title="Rounds of adaptation",
    echoes="SAM section A, training algorithm",
    question="Adapting a network by first prompts alone: can it still be corrected by clicks afterwards?",
    criterion="on xray, after nine clicks, five rounds of training beat one with the interval above zero, and after "
    f"one click they are at most {WORSE} worse",
    run=run,
    trains=f"{{network}}'s mask decoder, adapted to 500 images of xray by 1 and by 5 rounds: {RATES.steps} steps of 4 "
    "images × 4 prompts for each and each seed",
    shortened="to nano, 16 prompts per step, masks compared at the decoder's size, and one rate that was not searched "
    "for: five rounds then take a minute of a core for each seed",
)

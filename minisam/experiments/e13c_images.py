"""E13c: how many images does adapting need, and what does it forget?  (Hu et al. 2021; HQ-SAM, table of forgetting)

    network  ->  the decoder, LoRA alone, LoRA + decoder, everything: each on the first 5, 50 or 500 of the same images
                 of `xray`
             ->  held-out `xray`: what it gained          ->  `train`: what it forgot
    network  ->  LoRA + decoder on 500 images of `thin`   ->  held-out `thin`, whose strokes are thinner than a token

The trainings are those of E13, 600 steps each: with 5 images, each is seen 480 times.

Expected before the run:
    forgetting     with 5 images LoRA alone loses less of `train` than training everything, with a box
    images         LoRA with the decoder gains more on `xray` from 500 images than from 5
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.adapt.adapt_task import Training
from minisam.adapt.measure_own import scores
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import measure_world
from minisam.experiments.e13_adapt import ARMS, BOX, CLICK, DECODER, FULL, LORA, LORA_ALONE, NEW, NONE, OLD
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.adapted import drawn_images, prepared, trained_copy
from minisam.experiments.shared.arms import difference
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam

COUNTS = (5, 50, 500)
FEW, MANY = COUNTS[0], COUNTS[-1]
COMPARED = (DECODER, LORA_ALONE, LORA, FULL)
THIN = "thin"
Run = tuple[str, str, int]
"""The world, the arm and how many images it was trained on; NONE and 0 for the given network."""


def run(sam: Sam, settings: Settings) -> Outcome:
    """Copies of `sam` are adapted."""
    runs: list[Run] = [(NEW, name, count) for count in COUNTS for name in COMPARED]
    runs += [(THIN, LORA, MANY), (NEW, NONE, 0)]
    found: dict[tuple[Run, str], list[dict[str, Tensor]]] = {}
    image: dict[str, Tensor] = {}
    for seed in settings.seeds:
        for one in runs:
            net = sam if one[1] == NONE else trained_on(sam, settings, one, seed)
            for world in (NEW, OLD, THIN) if one[1] == NONE else (one[0], OLD):
                measured = measure_world(net, world, settings.images, seeds=settings.seeds, clicks=1)
                image[world] = measured.image_index
                found.setdefault((one, world), []).append(scores(measured))

    def values(one: Run, world: str, prompt: str) -> list[Tensor]:
        return [of_seed[prompt] for of_seed in found[one, world]]

    def gain(one: Run, world: str, prompt: str = BOX) -> Estimate:
        return difference(values(one, world, prompt), values((NEW, NONE, 0), world, prompt), image[world])

    def between(one: Run, other: Run, world: str) -> Estimate:
        return difference(values(one, world, BOX), values(other, world, BOX), image[world])

    spared = {
        count: between((NEW, LORA_ALONE, count), (NEW, FULL, count), OLD) for count in COUNTS
    }  # what training everything forgets and LoRA does not
    more = between((NEW, LORA, MANY), (NEW, LORA, FEW), NEW)
    gains = {
        world: {name: [gain((NEW, name, count), world) for count in COUNTS] for name in COMPARED}
        for world in (NEW, OLD)
    }
    thin = gain((THIN, LORA, MANY), THIN), gain((THIN, LORA, MANY), THIN, CLICK)

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, world in zip(panels, (NEW, OLD), strict=True):
        draw(axes, gains[world])
        axes.set_title(f"{world}, box")
    panels[0].legend()  # in the other it would hide an interval
    finding = (
        f"With a box, LoRA + decoder changes IoU on {NEW} by "
        + ", ".join(f"{e.signed()} (from {n} images)" for e, n in zip(gains[NEW][LORA], COUNTS, strict=True))
        + f"; {MANY} instead of {FEW} are worth {more.signed()}. LoRA alone changes it by "
        f"{gains[NEW][LORA_ALONE][0].signed()}, the decoder alone by {gains[NEW][DECODER][0].signed()} and training "
        f"everything by {gains[NEW][FULL][0].signed()} (from {FEW}). "
        f"On {OLD}, from {FEW} images, training everything changes it by {gains[OLD][FULL][0].signed()} and LoRA alone "
        f"by {gains[OLD][LORA_ALONE][0].signed()}: LoRA is {spared[FEW].signed()} above it; from {MANY} images it is "
        f"{spared[MANY].signed()}. From {MANY} images of {THIN}, LoRA + decoder changes {THIN} by {thin[0].signed()} "
        f"with a box and by {thin[1].signed()} with a click."
    )
    return Outcome(
        spared[FEW].low > 0 and more.value > 0,
        finding,
        {
            "change": {
                world: {
                    name: {str(n): as_json(e) for n, e in zip(COUNTS, of, strict=True)}
                    for name, of in arms.items()
                }
                for world, arms in gains.items()
            },
            "LoRA - full on train": {str(count): as_json(e) for count, e in spared.items()},
            "500 - 5 images": as_json(more),
            "thin": {"box": as_json(thin[0]), "click": as_json(thin[1])},
        },
        figure,
    )


def trained_on(sam: Sam, settings: Settings, one: Run, seed: int) -> Sam:
    """An adapted copy of `sam`; a finished run in `settings.work` is only read."""
    world, name, count = one
    method, rates = ARMS[name]
    images = drawn_images(sam, settings, (world,), seed, count)
    how = Training(rates, seed=seed, full_size=True, single_round_share=1.0)
    return trained_copy(settings, "e13c", f"{name} {world} {count}", prepared(sam, method, seed), images, how)


def draw(axes: Axes, gains: dict[str, list[Estimate]]) -> None:
    """A line for each arm, over the number of images."""
    for place, (name, estimates) in enumerate(gains.items()):
        middle = [e.value for e in estimates]
        spread = [[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]
        aside = 1.06 ** (place - (len(gains) - 1) / 2)  # no interval over another
        axes.errorbar([aside * count for count in COUNTS], middle, spread, marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="images", ylabel="IoU after − before")
    axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.grid(alpha=0.3)


EXPERIMENT = Experiment(
    id="E13c",
    title="How many images?",
    echoes="LoRA, section 7; HQ-SAM, table of forgetting",
    question="Adapting to 5, 50 or 500 images: what is gained, and what is forgotten?",
    criterion="with a box: after 5 images LoRA alone has lost less of train than training everything, interval above "
    "0; LoRA with the decoder gains more on xray from 500 images than from 5",
    run=run,
    trains="{network}, adapted by four methods to 5, 50 and 500 images of xray and by one to 500 of thin: 600 steps "
    "of 4 images × 6 prompts, once per seed",
    shortened="to nano, one seed, and E13's rates, which were not searched for; thin is learned by one arm only",
)

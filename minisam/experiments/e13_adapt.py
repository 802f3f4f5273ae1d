"""E13: which part of the network should learn a new kind of image?  (LoRA, Hu et al. 2021; HQ-SAM, Ke et al. 2023)

    network  ->  five methods, each on the same 500 images of `xray`, which it has never seen  ->  held-out `xray`
                                                                                ->  `train`: what it forgot

All arms see the same images, prompts and random numbers of a seed.  The loss is at the size of the image, with one
round for each prompt.

Expected before the run:
    at step 0       every arm is the given network, to 1e-6
    on xray         the best arm that keeps the image encoder's weights is better than that network with a box
    LoRA            with the decoder it is at most 0.02 worse than training everything, with fewer numbers
    forgetting      LoRA alone loses less of `train` than training everything
    merged          the same masks as before merging, to 1e-5
"""

from __future__ import annotations

import copy

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.adapt.adapt_task import Training
from minisam.adapt.choose import Settings as Rates
from minisam.adapt.measure_own import scores
from minisam.adapt.merge import merged
from minisam.adapt.methods import Adaptation, Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.adapted import drawn_images, prepared, trained_copy, trained_numbers
from minisam.experiments.shared.arms import difference, mean_of_arm
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam

NEW, OLD = "xray", "train"
STEPS = 600
NONE, TOKENS, DECODER = "before", "output tokens", "decoder"
FULL, LORA, LORA_ALONE = "full", "LoRA + decoder", "LoRA"
ARMS = {
    TOKENS: (Method("token"), Rates(1e-3, 1e-3, STEPS)),
    DECODER: (Method("decoder"), Rates(1e-4, 1e-4, STEPS)),
    LORA_ALONE: (Method("lora", decoder=False), Rates(1e-4, 1e-3, STEPS)),
    LORA: (Method("lora"), Rates(1e-4, 1e-3, STEPS)),
    FULL: (Method("full"), Rates(1e-4, 1e-4, STEPS)),
}
BOX, CLICK = "box, ranked first", "one click, best of three"


def run(sam: Sam, settings: Settings) -> Outcome:
    """Copies of `sam` are adapted."""
    found: dict[str, dict[str, list[dict[str, Tensor]]]] = {
        name: {NEW: [], OLD: []} for name in (NONE, *ARMS)
    }
    image: dict[str, Tensor] = {}
    start, merging, numbers = 0.0, 0.0, {}
    for seed in settings.seeds:
        images = drawn_images(sam, settings, (NEW,), seed)
        adapted = {name: trained_arm(sam, images, settings, name, seed) for name in ARMS}
        for name, net in {NONE: sam, **adapted}.items():
            for world in (NEW, OLD):
                measured = measure_world(net, world, settings.images, seeds=settings.seeds, clicks=1)
                image[world] = measured.image_index
                found[name][world].append(scores(measured))
        start = max(start, *(at_step_zero(sam, ARMS[name][0]) for name in ARMS))
        merging = max(merging, after_merging(sam, adapted[LORA]))
        numbers = {name: trained_numbers(adapted[name]) for name in ARMS}

    def values(name: str, world: str, prompt: str) -> list[Tensor]:
        return [one[prompt] for one in found[name][world]]

    means = {
        name: {
            f"{world}, {prompt}": mean_of_arm(values(name, world, prompt), image[world])
            for world in (NEW, OLD)
            for prompt in (BOX, CLICK)
        }
        for name in found
    }
    gains = {
        name: {
            f"{world}, {prompt}": difference(
                values(name, world, prompt), values(NONE, world, prompt), image[world]
            )
            for world in (NEW, OLD)
            for prompt in (BOX, CLICK)
        }
        for name in ARMS
    }
    kept = [name for name in ARMS if name != FULL]
    best = max(kept, key=lambda name: gains[name][f"{NEW}, {BOX}"].value)
    gain = gains[best][f"{NEW}, {BOX}"]
    behind = difference(values(LORA, NEW, BOX), values(FULL, NEW, BOX), image[NEW])
    spared = difference(values(LORA_ALONE, OLD, BOX), values(FULL, OLD, BOX), image[OLD])

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axes, prompt in zip(figure.subplots(1, 2, sharey=True), (BOX, CLICK), strict=True):
        draw(axes, gains, prompt)
    finding = (
        f"With a box, {best} gains {gain.signed()} IoU on {NEW}; LoRA with the decoder is {behind.signed()} from "
        f"training everything, with {numbers[LORA]:,} numbers instead of {numbers[FULL]:,}; the output tokens alone, "
        f"{numbers[TOKENS]:,} numbers, change it by {gains[TOKENS][f'{NEW}, {BOX}'].signed()}. On {OLD}, LoRA alone is "
        f"{spared.signed()} from training everything. At step 0 the arms differ from the given network "
        f"by {start:.0e}, and merging changes the masks' logits by {merging:.0e} of the largest."
    )
    passed = gain.low > 0 and behind.value >= -0.02 and spared.value > 0 and start <= 1e-6 and merging <= 1e-5
    return Outcome(
        passed,
        finding,
        {
            "mean": {name: {key: as_json(e) for key, e in of.items()} for name, of in means.items()},
            "gain": {name: {key: as_json(e) for key, e in of.items()} for name, of in gains.items()},
            "numbers trained": numbers,
            "step 0": start,
            "merging": merging,
        },
        figure,
    )


def trained_arm(sam: Sam, images: OwnImages, settings: Settings, name: str, seed: int) -> Sam:
    """An adapted copy of `sam`; a finished run in `settings.work` is only read."""
    method, rates = ARMS[name]
    how = Training(rates, seed=seed, full_size=True, single_round_share=1.0)
    return trained_copy(settings, "e13", name, prepared(sam, method, seed), images, how)


@torch.no_grad()
def at_step_zero(sam: Sam, method: Method) -> float:
    """How much the mask logits of the adapted network differ from the plain one's, before training."""
    return logits_differ(sam, adapt(copy.deepcopy(sam), method).sam)


@torch.no_grad()
def after_merging(sam: Sam, adapted: Sam) -> float:
    """The same for a trained LoRA before and after merging: `adapted` is a copy of `sam` with LoRA, and its decoder."""
    plain = copy.deepcopy(sam)
    plain.load_state_dict(merged(Adaptation(copy.deepcopy(adapted), ARMS[LORA][0], "")).state_dict())
    return logits_differ(adapted, plain)


def logits_differ(one: Sam, other: Sam) -> float:
    """The largest difference of any mask logit, as a share of the largest logit."""
    size = one.image_encoder.img_size
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, size, size, generator=generator) * 255
    points = torch.rand(2, 1, 2, generator=generator) * size, torch.ones(2, 1)
    found = []
    for sam in (one.eval(), other.eval()):
        sparse, dense = sam.prompt_encoder(points, None, None)
        embedding = sam.image_encoder(sam.preprocess(images))
        found.append(sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, True)[0])
    return float((found[0] - found[1]).abs().max() / found[0].abs().max())


def draw(axes: Axes, gains: dict[str, dict[str, Estimate]], prompt: str) -> None:
    """Two bars per arm: the change on the new world and on the old one."""
    for place, (world, colour) in enumerate(((NEW, "tab:blue"), (OLD, "tab:orange"))):
        bars = [of[f"{world}, {prompt}"] for of in gains.values()]
        x = [number + 0.4 * place - 0.2 for number in range(len(bars))]
        spread = [[e.value - e.low for e in bars], [e.high - e.value for e in bars]]
        axes.bar(x, [e.value for e in bars], 0.36, yerr=spread, capsize=2, color=colour, label=world)
    axes.set_xticks(range(len(gains)), list(gains), fontsize=8)
    axes.set(title=prompt, ylabel="IoU after − before")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()


EXPERIMENT = Experiment(
    id="E13",
    title="What should learn a new kind of image?",
    echoes="LoRA, section 7; HQ-SAM, table of forgetting",
    question="Adapting a network to X-ray images: decoder, LoRA or everything, and what is forgotten?",
    criterion="on xray, with a box: the best arm that keeps the encoder's weights gains, interval above 0; LoRA with "
    "the decoder at most .02 behind training everything; LoRA alone forgets less; equal at step 0, and after merging",
    run=run,
    trains="{network}, adapted by five methods to 500 images of xray: 600 steps of 4 images × 6 prompts, once per seed",
)

"""E13b: which rank of LoRA, and on which layers?  (LoRA, Hu et al. 2021, section 7; micro-sam's "late" LoRA)

    rank         1, 4, 16 on q and v of all blocks
    layers       rank 4 on the MLPs as well
    placement    rank 4 on q and v of the first half of the blocks, or of the second ("late")

Only LoRA is trained: the mask decoder is the given one.  With late LoRA the backward pass ends in the middle of the
image encoder: a step is cheaper.  All arms see the same images, prompts and random numbers of a seed.

Expected before the run:
    late LoRA is within 0.03 of that on all blocks, with a box and with a click, and needs at most 0.7 of its time
"""

from __future__ import annotations

import time
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.adapt.adapt_task import AdaptTask, Training
from minisam.adapt.choose import Settings as Rates
from minisam.adapt.measure_own import scores
from minisam.adapt.methods import Method
from minisam.adapt.own_images import OwnImages
from minisam.evaluate.world import measure_world
from minisam.experiments.e13_adapt import BOX, CLICK, NEW, NONE, OLD
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.adapted import (
    changes_from,
    draw_changes,
    drawn_images,
    prepared,
    trained_copy,
    trained_numbers,
)
from minisam.experiments.shared.arms import difference
from minisam.experiments.shared.prompted_targets import as_json
from minisam.model import Sam

RATES = Rates(1e-4, 1e-3, 200)
ALL, EARLY, LATE = "rank 4", "early", "late"
RANKS = {"rank 1": 1, ALL: 4, "rank 16": 16}
WITH_MLP = "rank 4 + MLP"
WITHIN, CHEAPER = 0.03, 0.7
TIMED = 9
"""The steps of each arm that are timed."""


def arms(sam: Sam) -> dict[str, Method]:
    """The arms for a network of this depth."""
    depth = len(sam.image_encoder.blocks)
    half = depth // 2
    return {
        **{name: Method("lora", decoder=False, rank=rank) for name, rank in RANKS.items()},
        WITH_MLP: Method("lora", decoder=False, on=("q", "v", "mlp")),
        EARLY: Method("lora", decoder=False, blocks=tuple(range(half))),
        LATE: Method("lora", decoder=False, blocks=tuple(range(half, depth))),
    }


def run(sam: Sam, settings: Settings) -> Outcome:
    """Copies of `sam` are adapted."""
    methods = arms(sam)
    found: dict[str, dict[str, list[dict[str, Tensor]]]] = {
        name: {NEW: [], OLD: []} for name in (NONE, *methods)
    }
    image: dict[str, Tensor] = {}
    numbers: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for seed in settings.seeds:
        images, nets = drawn_images(sam, settings, (NEW,), seed), {NONE: sam}
        how = training(seed)
        for name, method in methods.items():
            nets[name] = trained_copy(settings, "e13b", name, prepared(sam, method, seed), images, how)
            numbers[name] = trained_numbers(nets[name])
        for name, net in nets.items():
            for world in (NEW, OLD):
                measured = measure_world(net, world, settings.images, seeds=settings.seeds, clicks=1)
                image[world] = measured.image_index
                found[name][world].append(scores(measured))
        seconds = seconds or seconds_of_a_step(sam, methods, images, 1 if settings.quick else TIMED)

    def values(name: str, world: str, prompt: str) -> list[Tensor]:
        return [one[prompt] for one in found[name][world]]

    changes = {
        f"{world}, {prompt}": changes_from(
            values(NONE, world, prompt),
            {name: values(name, world, prompt) for name in methods},
            image[world],
        )
        for world in (NEW, OLD)
        for prompt in (BOX, CLICK)
    }
    late = {
        prompt: difference(values(LATE, NEW, prompt), values(ALL, NEW, prompt), image[NEW])
        for prompt in (BOX, CLICK)
    }
    share = seconds[LATE] / seconds[ALL]

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, prompt in zip(figure.subplots(1, 2, sharey=True), (BOX, CLICK), strict=True):
        draw_changes(axes, {world: changes[f"{world}, {prompt}"] for world in (NEW, OLD)}, methods)
        axes.set(title=prompt, ylabel="IoU after − before")
    finding = (
        f"On {NEW}, with a box, IoU changes by "
        + ", ".join(f"{changes[f'{NEW}, {BOX}'][name].signed()} ({name})" for name in methods)
        + f"; with a click by {changes[f'{NEW}, {CLICK}'][ALL].signed()} ({ALL}) and "
        f"{changes[f'{NEW}, {CLICK}'][LATE].signed()} ({LATE}). Late LoRA is {late[BOX].signed()} from LoRA on all "
        f"blocks with a box and {late[CLICK].signed()} with a click; a step of it takes {share:.2f} of the processor "
        f"time. The arms train {min(numbers.values()):,} to {max(numbers.values()):,} numbers."
    )
    return Outcome(
        min(one.value for one in late.values()) >= -WITHIN and share <= CHEAPER,
        finding,
        {
            "change": {key: {name: as_json(e) for name, e in of.items()} for key, of in changes.items()},
            "late - all": {prompt: as_json(e) for prompt, e in late.items()},
            "numbers trained": numbers,
            "processor seconds of a step": {name: round(one, 4) for name, one in seconds.items()},
        },
        figure,
    )


def training(seed: int) -> Training:
    return Training(RATES, prompts_per_image=4, seed=seed, single_round_share=1.0)


def seconds_of_a_step(
    sam: Sam, methods: dict[str, Method], images: OwnImages, steps: int
) -> dict[str, float]:
    """The median processor time of a training step of each arm; the arms take turns."""
    tasks = {
        name: AdaptTask(
            prepared(sam, method, 0),
            images,
            range(len(images.folder.names)),
            training(0),
        )
        for name, method in methods.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for step in range(steps + 1):
        for name, task in tasks.items():
            started = time.process_time()
            task.loss(step, torch.Generator().manual_seed(step))[0].backward()
            task.optimizers[0].step()
            if step > 0:  # the first step of each warms up
                taken[name].append(time.process_time() - started)
    return {name: median(seconds) for name, seconds in taken.items()}


EXPERIMENT = Experiment(
    id="E13b",
    title="Rank and place of LoRA",
    echoes="LoRA, section 7; micro-sam's late LoRA",
    question="LoRA on X-ray images: which rank, which layers, and which blocks?",
    criterion=f"on xray, with a box and with a click, LoRA on the late half of the blocks is within {WITHIN} of LoRA "
    f"on all, with at most {CHEAPER} of the processor time of a step",
    run=run,
    trains=f"{{network}}, adapted by LoRA alone to 500 images of xray: {RATES.steps} steps of 4 images × 4 prompts for "
    "each arm and seed",
    shortened="to nano, 16 prompts per step, masks compared at the decoder's size, and one rate that was not searched "
    "for: the trainings of a seed then take two minutes of a core. No arm gains 0.01, so being within 0.03 says little",
)

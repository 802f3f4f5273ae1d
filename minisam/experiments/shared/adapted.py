"""Adapted copies of a network that an experiment trains on drawn scenes, one for each arm and seed; and their changes.

    scenes of a world, drawn once for all arms  ->  a copy of the network, changed by a method  ->  training  ->  IoU

A finished run is only read.  Arms with the same seed see the same scenes, prompts and random numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from matplotlib.axes import Axes
from torch import Tensor

from minisam.adapt.adapt_task import AdaptTask, Training
from minisam.adapt.methods import Adaptation, Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.evaluate.bootstrap import Estimate
from minisam.evaluate.pictures import smallest_target
from minisam.experiments.experiment import Settings
from minisam.experiments.shared.arms import difference
from minisam.experiments.shared.drawn_folder import DrawnFolder
from minisam.model import Sam
from minisam.train.run import TrainingRun

IMAGES = 500


def drawn_images(
    sam: Sam, settings: Settings, worlds: Sequence[str], seed: int, count: int = IMAGES
) -> OwnImages:
    """`count` scenes of a world, or of several in turn, at the network's input size."""
    count, size = min(count, 4) if settings.quick else count, sam.image_encoder.img_size
    images = OwnImages(DrawnFolder(worlds, count, size, seed), size, smallest_target(sam), "cpu")
    images.usable(range(count))
    return images


def prepared(sam: Sam, method: Method, seed: int) -> Adaptation:
    """A copy of `sam`, changed by `method`, with the added weights of `seed`."""
    torch.manual_seed(seed)
    return adapt(copy.deepcopy(sam), method)


def trained_copy(
    settings: Settings, experiment: str, arm: str, adapted: Adaptation, images: OwnImages, how: Training
) -> Sam:
    """The network of an arm after training, in place and in evaluation mode; two steps if `settings` are quick.

    The run is in `settings.work / experiment`, in a folder by the base's hash, the arm and the seed.
    """
    if settings.quick:
        how = replace(how, settings=replace(how.settings, steps=2))
    task = AdaptTask(adapted, images, range(len(images.folder.names)), how)
    folder = settings.work / experiment / adapted.base[:8] / f"{arm.replace(' ', '')}-{how.seed}"
    return TrainingRun(task, folder, save_every=100).run().sam.eval()


def trained_numbers(sam: Sam) -> int:
    return sum(p.numel() for p in sam.parameters() if p.requires_grad)


def changes_from(
    before: list[Tensor], arms: Mapping[str, list[Tensor]], image: Tensor
) -> dict[str, Estimate]:
    """How much higher every arm is than `before`, paired; runs [P] and the image of each target [P]."""
    return {name: difference(runs, before, image) for name, runs in arms.items()}


def draw_changes(axes: Axes, changes: Mapping[str, Mapping[str, Estimate]], arms: Iterable[str]) -> None:
    """Bars for each arm, one for each of `changes`, with intervals."""
    arms, width = list(arms), 0.8 / len(changes)
    for place, (label, of_arm) in enumerate(changes.items()):
        bars = [of_arm[arm] for arm in arms]
        x = [number + (place + 0.5) * width - 0.4 for number in range(len(bars))]
        spread = [[e.value - e.low for e in bars], [e.high - e.value for e in bars]]
        axes.bar(x, [e.value for e in bars], 0.9 * width, yerr=spread, capsize=2, label=label)
    axes.set_xticks(range(len(arms)), arms, fontsize=8)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)

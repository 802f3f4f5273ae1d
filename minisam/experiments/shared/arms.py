"""Comparing the arms of a trained experiment with paired differences: the same seeds and the same targets.

A run gives a number for each of P targets; an arm has one run per training seed.  Both the images and the seeds are
resampled with replacement: an interval includes the variation between training runs and between images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.measure import Measurements
from minisam.evaluate.statistics import weighted_mean
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Settings
from minisam.experiments.shared.decoder_training import DecoderRecipe, trained_decoder
from minisam.model import Sam
from minisam.train.interactive import Loss
from minisam.train.losses import segmentation_loss

Label = TypeVar("Label")
Run = TypeVar("Run")


@dataclass(frozen=True)
class Arm:
    """A network made from nano by `change`, trained by `recipe` and `loss`; arms with the same `name` share a run."""

    name: str
    change: Callable[[Sam], None]
    recipe: DecoderRecipe
    loss: Loss = segmentation_loss

    def trained(self, settings: Settings, seed: int) -> Sam:
        recipe = self.recipe.shortened(settings)
        return trained_decoder(settings, self.name, self.change, recipe, seed, self.loss)


def measure_arms(
    settings: Settings, arms: Mapping[Label, Arm], clicks: int
) -> tuple[dict[Label, list[Measurements]], Tensor]:
    """Train every arm with every seed and measure all on the same targets; with the image of each target, [P]."""
    measured: dict[Label, list[Measurements]] = {label: [] for label in arms}
    for seed in settings.seeds:
        for label, arm in arms.items():
            network = arm.trained(settings, seed)
            runs = measured[label]
            runs.append(measure_world(network, "train", settings.images, seeds=settings.seeds, clicks=clicks))
    first, *_ = measured.values()
    return measured, first[0].image_index


def arm_weights(image: Tensor, seeds: int) -> Tensor:
    """The weight of each target of each run in each resample, [R, seeds · P], from the targets' images [P]."""
    images, runs = image_weights(image), image_weights(torch.arange(seeds), seed=1)
    return (runs[:, :, None] * images[:, None]).flatten(1)


def mean_of_arm(runs: list[Tensor], image: Tensor) -> Estimate:
    """The mean of runs, each [P], with its interval."""
    values = torch.cat(runs).double()
    return estimate(lambda weights: weighted_mean(values, weights), arm_weights(image, len(runs)))


def statistic_of_arm(
    statistic: Callable[[Run, Tensor], Tensor], runs: Sequence[Run], image: Tensor
) -> Estimate:
    """The mean over runs of a statistic that is not a mean over targets: `statistic(run, weights [R, P])` -> [R]."""
    images, seeds = image_weights(image), image_weights(torch.arange(len(runs)), seed=1)
    of_each = torch.stack([statistic(run, images) for run in runs], dim=1)
    return estimate(lambda weights: (weights * of_each).sum(dim=1) / weights.sum(dim=1), seeds)


def difference(first: list[Tensor], second: list[Tensor], image: Tensor) -> Estimate:
    """How much higher `first` is than `second`, seed by seed and target by target."""
    return mean_of_arm([a - b for a, b in zip(first, second, strict=True)], image)

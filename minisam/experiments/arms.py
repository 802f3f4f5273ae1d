"""Arms of a trained experiment compared: the same seeds and the same targets, so that differences are paired.

A run gives a number for each of P targets; an arm has a run for each training seed.  Both the images and the seeds
are drawn again with replacement, so an interval says how far another training run and other images could move it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.statistics import weighted_mean


def arm_weights(image: Tensor, seeds: int) -> Tensor:
    """How often each target of each run counts in each resample, [R, seeds · P], from the targets' images [P]."""
    images, runs = image_weights(image), image_weights(torch.arange(seeds), seed=1)
    return (runs[:, :, None] * images[:, None]).flatten(1)


def mean_of_arm(runs: list[Tensor], image: Tensor) -> Estimate:
    """The mean of runs, each [P], with its interval."""
    values = torch.cat(runs).double()
    return estimate(lambda weights: weighted_mean(values, weights), arm_weights(image, len(runs)))


def difference(first: list[Tensor], second: list[Tensor], image: Tensor) -> Estimate:
    """How much higher `first` is than `second`, seed by seed and target by target."""
    return mean_of_arm([a - b for a, b in zip(first, second, strict=True)], image)

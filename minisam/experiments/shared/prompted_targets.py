"""Targets of a world, and the network prepared for prompts on them, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.statistics import weighted_mean
from minisam.evaluate.targets import choose_targets, evaluation_scenes
from minisam.experiments.experiment import Settings
from minisam.model import Sam
from minisam.predict.prompted import Prompted

TARGETS_PER_IMAGE = 8


class PromptedTargets(NamedTuple):
    """P targets: masks [P, S, S] bool, level [P] (0 whole, 1 part, 2 subpart), and a number for its image [P]."""

    prompted: Prompted
    masks: Tensor
    level: Tensor
    image: Tensor


def prompted_targets(
    sam: Sam, settings: Settings, world: str = "train", min_area: float = 1 / 256, **knobs: float
) -> Iterator[PromptedTargets]:
    """The targets of `settings.images` scenes of each seed, eight scenes at a time; `min_area` is a fraction."""
    size, done = sam.image_encoder.img_size, 0
    for seed in settings.seeds:
        for scenes in evaluation_scenes(world, settings.images, size, seed, sam.device, **knobs):
            generator = torch.Generator().manual_seed(seed + done)
            image, node = choose_targets(scenes, TARGETS_PER_IMAGE, generator, min_area)
            level = scenes.level[image, node].long()
            embeddings = sam.image_encoder(sam.preprocess(scenes.images))
            masks = scenes.labels[image, level] == node[:, None, None]
            if len(image):
                yield PromptedTargets(Prompted(sam, embeddings, image), masks, level, image + done)
            done += len(scenes.images)


def mean_over_images(values: Tensor, image: Tensor) -> Estimate:
    """The mean of values [P] with its 95 % interval, images [P] resampled."""
    return estimate(lambda weights: weighted_mean(values.double(), weights), image_weights(image))


def as_json(value: Estimate) -> list[float]:
    """[value, low, high], four digits."""
    return [round(number, 4) for number in (value.value, value.low, value.high)]

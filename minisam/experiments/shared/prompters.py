"""Detectors that an experiment trains on the frozen tiny, one for each arm and seed, and their AP by image.

AP is not a mean over images: to resample images, their overlaps are weighted, not averaged.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch

from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.labelled_images import WorldImages
from minisam.adapt.rsprompter.prompter import Prompter, build_prompter
from minisam.adapt.rsprompter.prompter_task import PrompterRecipe, PrompterTask
from minisam.build import build_sam
from minisam.checkpoint.digest import weights_digest
from minisam.experiments.experiment import Settings
from minisam.seeds import hash_seed
from minisam.train.run import TrainingRun

WORLD = "aerial"
TRAINING_IMAGES = 512
CLASSES = ("building", "field", "hangar", "vehicle", "grove", "road")


@lru_cache(maxsize=2)
def training_images(world: str, images: int, image_size: int) -> WorldImages:
    return WorldImages(world, images, image_size)


def trained_prompter(
    settings: Settings,
    network: str,
    arm: str,
    config: PrompterConfig,
    recipe: PrompterRecipe,
    seed: int,
    world: str = WORLD,
) -> Prompter:
    """The detector of an arm, in evaluation mode; a finished run in `settings.work / "prompters"` is only read."""
    sam = build_sam(network)
    base = weights_digest(sam)
    torch.manual_seed(hash_seed(seed, 0))
    prompter = build_prompter(sam, config)
    images = training_images(world, 8 if settings.quick else TRAINING_IMAGES, prompter.image_size)
    short = replace(recipe, steps=1, images=2) if settings.quick else recipe
    task = PrompterTask(prompter, images, range(len(images.names)), short, seed, base)
    folder = settings.work / "prompters" / (f"{arm}-{seed}" if world == WORLD else f"{arm}-{world}-{seed}")
    return TrainingRun(task, folder, save_every=250).run().prompter

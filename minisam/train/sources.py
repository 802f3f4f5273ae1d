"""Where the batches of a training run come from: PartWorld, or a folder of one's own pictures.

The trainer asks for the batch of a step and trains on it; what is drawn how, and in which process, is the
source's own affair, as long as the same step always gives the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch
from minisam.data.skipped import Skipped
from minisam.seeds import hash_seed
from minisam.train.pictures import PictureBatch, Repeats, load_batch, open_split
from minisam.train.presets import Phase, Recipe
from minisam.train.scenes import DrawnAhead, SceneSource
from minisam.train.targets import node_masks, sample_nodes


class TrainingBatch(NamedTuple):
    """B images and what to find in them, on the device that trains."""

    images: Tensor | Sequence[Tensor]
    """B times uint8 [3, h, w] RGB, at most S a side."""
    masks: Tensor
    """[B, M, S, S] bool, none empty; M is the phase's prompts an image."""
    labels: Tensor
    """int16 [B, 3, S, S], for the affinity loss: which whole, part and subpart a pixel is in, -1 = none."""


class BatchSource(Protocol):
    """Anything that a network can be trained on; what could not be used gathers in `skipped`."""

    skipped: Skipped

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        """The batch of a step; `generator` is the step's own, on the device that trains."""
        ...

    def about(self) -> dict[str, object]:
        """What a run must not change on its way, beside its recipe and seed."""
        ...

    def close(self) -> None:
        """End what runs in the background."""
        ...


class PartWorldSource:
    """Scenes that nobody has seen before or, with `distinct_batches`, those of the first so many steps over and over.

    A phase with another size or other knobs draws scenes of its own.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        device: str,
        in_background: bool,
        distinct_batches: int | None = None,
    ) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.distinct_batches = distinct_batches
        self.skipped = Skipped()
        self.scenes = SceneSource(self.arguments, in_background)

    def arguments(self, step: int) -> dict[str, Any]:
        """What `render_scenes` is asked for at a step."""
        phase = self.recipe.phase_at(step)
        drawn_at = step if self.distinct_batches is None else step % self.distinct_batches
        return {
            "world": phase.worlds[drawn_at % len(phase.worlds)],
            "seed": hash_seed(self.seed, drawn_at),
            "batch_size": phase.batch_size,
            "image_size": phase.image_size,
            "device": self.device,
            "object_scale": phase.object_scale,
            "richness": phase.richness,
        }

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        return scene_targets(self.scenes[step], phase, generator)

    def about(self) -> dict[str, object]:
        return {} if self.distinct_batches is None else {"distinct_batches": self.distinct_batches}

    def close(self) -> None:
        self.scenes.close()


def scene_targets(scenes: SceneBatch, phase: Phase, generator: torch.Generator) -> TrainingBatch:
    """Scenes with masks of nodes drawn at random, as many an image as the phase has prompts."""
    masks = scenes.labels.new_empty((len(scenes.images), 0, *scenes.labels.shape[2:]), dtype=torch.bool)
    if phase.prompts_per_image:
        nodes = sample_nodes(scenes, phase.prompts_per_image, generator, phase.min_area)
        masks = node_masks(scenes, nodes)
    return TrainingBatch(scenes.images, masks, scenes.labels)


class PictureSource:
    """Pictures from a folder, but for those held out; what could not be used gathers in `skipped`."""

    def __init__(
        self,
        path: Path,
        validation: float,
        recipe: Recipe,
        seed: int,
        device: str,
        in_background: bool,
        repeats: Repeats = (),
    ) -> None:
        self.path, self.validation, self.repeats = path.resolve(), validation, repeats
        self.recipe, self.seed, self.device = recipe, seed, device
        folder, *_ = open_split(self.path, validation, repeats)
        self.fingerprint = folder.fingerprint()
        self.skipped = Skipped(folder.skipped)
        self.pictures: DrawnAhead[PictureBatch] = DrawnAhead(load_batch, self.arguments, in_background)

    def arguments(self, step: int) -> dict[str, Any]:
        """What `load_batch` is asked for at a step."""
        phase = self.recipe.phase_at(step)
        return {
            "path": self.path,
            "validation": self.validation,
            "seed": hash_seed(self.seed, step),
            "batch_size": phase.batch_size,
            "image_size": phase.image_size,
            "masks_per_image": phase.prompts_per_image,
            "min_area": phase.min_area,
            "all_masks": phase.affinity > 0,
            "repeats": self.repeats,
        }

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        drawn = self.pictures[step]
        self.skipped.add_all(drawn.skipped)
        images = [image.to(self.device) for image in drawn.images]
        return TrainingBatch(images, drawn.masks.to(self.device), drawn.labels.to(self.device))

    def about(self) -> dict[str, object]:
        about: dict[str, object] = {"data": self.fingerprint, "validation": self.validation}
        return about | {"repeats": [list(one) for one in self.repeats]} if self.repeats else about

    def close(self) -> None:
        self.pictures.close()

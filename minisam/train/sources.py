"""Sources of training batches: PartWorld, or a folder of the user's images.

The trainer requests the batch of a step and trains on it. How a batch is made, and in which process, is up to the
source, but the same step must always give the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch
from minisam.data.skipped import Skipped
from minisam.files import resolved
from minisam.seeds import hash_seed
from minisam.train.pictures import PictureBatch, Repeats, load_batch, open_split
from minisam.train.presets import Phase, Recipe
from minisam.train.scenes import DrawnAhead, SceneSource
from minisam.train.targets import node_masks, sample_nodes


class TrainingBatch(NamedTuple):
    """B images and their targets, on the training device."""

    images: Tensor | Sequence[Tensor]
    """B times uint8 [3, h, w] RGB, at most S per side."""
    masks: Tensor
    """[B, M, S, S] bool, none empty; M is the phase's number of prompts per image."""
    labels: Tensor
    """int16 [B, 3, S, S], for the affinity loss: the whole, part and subpart of a pixel, -1 = none."""


class BatchSource(Protocol):
    """Anything that a network can be trained on; what could not be used gathers in `skipped`."""

    skipped: Skipped

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        """The batch of a step; `generator` belongs to the step and is on the training device."""
        ...

    def about(self) -> dict[str, object]:
        """Settings that must not change during a run, in addition to its recipe and seed."""
        ...

    def close(self) -> None:
        """End background processes."""
        ...


class PartWorldSource:
    """New scenes in every step or, with `distinct_batches`, those of the first that many steps repeated.

    A phase with another size or other knobs draws different scenes.
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
        """The arguments of `render_scenes` for a step."""
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
    """Scenes with masks of randomly drawn nodes, one per prompt of the phase."""
    masks = scenes.labels.new_empty((len(scenes.images), 0, *scenes.labels.shape[2:]), dtype=torch.bool)
    if phase.prompts_per_image:
        nodes = sample_nodes(scenes, phase.prompts_per_image, generator, phase.min_area)
        masks = node_masks(scenes, nodes)
    return TrainingBatch(scenes.images, masks, scenes.labels)


class PictureSource:
    """Images from a folder, except those held out; `skipped` collects the unusable files."""

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
        self.path, self.validation, self.repeats = resolved(path), validation, repeats
        self.recipe, self.seed, self.device = recipe, seed, device
        folder, *_ = open_split(self.path, validation, repeats)
        self.fingerprint = folder.fingerprint()
        self.skipped = Skipped(folder.skipped)
        self.pictures: DrawnAhead[PictureBatch] = DrawnAhead(load_batch, self.arguments, in_background)

    def arguments(self, step: int) -> dict[str, Any]:
        """The arguments of `load_batch` for a step."""
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

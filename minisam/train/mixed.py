"""Mixed batches: PartWorld's scenes, which have parts, cut-outs on photographs, which have none, and outlined ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch

from minisam.data.cutouts import CutoutBatch, open_cutouts, render_cutouts
from minisam.data.outlined import open_outlined, outlined_scenes
from minisam.data.partworld import SceneBatch, render_scenes
from minisam.data.skipped import Skipped
from minisam.files import resolved
from minisam.seeds import hash_seed
from minisam.train.presets import Phase, Recipe
from minisam.train.scenes import DrawnAhead
from minisam.train.sources import TrainingBatch, scene_targets


class CutoutsOn(NamedTuple):
    """The two folders, and the files that are left out; see `minisam.data.cutouts.open_cutouts`."""

    cutouts: Path
    backgrounds: Path
    leave_out: tuple[str, ...] = ()


class MixedSource:
    """The phase's share of cut-outs in every batch, all from one pair of folders, drawn at random for every step.

    With `outlined`, a folder of images with masks, every batch also has the phase's share of them.
    `skipped` collects the unusable files.
    """

    def __init__(
        self,
        folders: Sequence[CutoutsOn],
        recipe: Recipe,
        seed: int,
        device: str,
        in_background: bool,
        outlined: Path | None = None,
    ) -> None:
        self.folders = [CutoutsOn(resolved(one), resolved(on), names) for one, on, names in folders]
        self.recipe, self.seed, self.device = recipe, seed, device
        self.outlined = resolved(outlined) if outlined else None
        self.fingerprints: list[str] = []
        self.skipped = Skipped()
        for pair in self.folders:
            opened = open_cutouts(pair.cutouts, pair.backgrounds, "training", pair.leave_out)
            self.fingerprints.append(opened.fingerprint())
            self.skipped.add_all(opened.skipped)
        if self.outlined:
            photographs = open_outlined(self.outlined)
            self.skipped.add_all(photographs.skipped)
        self.drawn: DrawnAhead[CutoutBatch] = DrawnAhead(draw_mixed, self.arguments, in_background)

    def arguments(self, step: int) -> dict[str, Any]:
        """The arguments of `draw_mixed` for a step."""
        phase = self.recipe.phase_at(step)
        outlined = round(phase.outlined * phase.batch_size) if self.outlined else 0
        cutouts = round(phase.cutouts * phase.batch_size) - outlined
        return {
            "seed": hash_seed(self.seed, step),
            "image_size": phase.image_size,
            "cutout_images": cutouts,
            "layered": phase.layered,
            "enlarged": phase.enlarged,
            "folders": Random(hash_seed(self.seed, step)).choice(self.folders),
            "outlined": self.outlined,
            "outlined_images": outlined,
            "world_images": phase.batch_size - cutouts - outlined,
            "world": phase.worlds[step % len(phase.worlds)],
            "object_scale": phase.object_scale,
            "richness": phase.richness,
        }

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        scenes, skipped = self.drawn[step]
        self.skipped.add_all(skipped)
        return scene_targets(scenes.to(self.device), phase, generator)

    def about(self) -> dict[str, object]:
        leave_out = sorted({name for pair in self.folders for name in pair.leave_out})
        about: dict[str, object] = {"cutouts": "+".join(self.fingerprints), "leave_out": leave_out}
        return about | {"data": open_outlined(self.outlined).fingerprint()} if self.outlined else about

    def close(self) -> None:
        self.drawn.close()


def draw_mixed(
    seed: int,
    image_size: int,
    cutout_images: int,
    folders: CutoutsOn,
    world_images: int,
    world: str,
    layered: float = 0.0,
    enlarged: float = 0.0,
    outlined: Path | None = None,
    outlined_images: int = 0,
    **knobs: float,
) -> CutoutBatch:
    """Scenes of cut-outs, shares of them `layered` and `enlarged`, of outlined photographs, and of a `world`."""
    parts, skipped = [], Skipped()
    if cutout_images:
        pasted = render_cutouts(
            folders.cutouts,
            folders.backgrounds,
            seed,
            cutout_images,
            image_size,
            leave_out=folders.leave_out,
            layered=layered,
            enlarged=enlarged,
        )
        parts.append(pasted.scenes)
        skipped = pasted.skipped
    if outlined and outlined_images:
        photographs, unusable = outlined_scenes(outlined, seed, outlined_images, image_size)
        parts.append(photographs)
        skipped.add_all(unusable)
    if world_images:
        parts.append(render_scenes(seed, world_images, image_size, world, "cpu", **knobs))
    return CutoutBatch(SceneBatch.join(parts), skipped)

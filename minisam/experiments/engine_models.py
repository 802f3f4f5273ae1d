"""The models of an engine's rounds, and those of its control: as many steps, on the labelled pictures alone.

Training goes on from stage to stage, so a later model has also seen more steps.  The control goes the same way with
the same seeds, but for the masks; what the engine is above it comes from what it collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from minisam.build import CONFIGS
from minisam.checkpoint import load_checkpoint
from minisam.engine.settings import EngineSettings
from minisam.engine.training import trained_on, training_seed
from minisam.evaluate.clicks import Prompted, simulate_clicks
from minisam.evaluate.distance import interior_points
from minisam.evaluate.targets import choose_targets, evaluation_scenes
from minisam.experiments.experiment import Settings
from minisam.experiments.prompted_targets import TARGETS_PER_IMAGE


class HeldOut(NamedTuple):
    """A batch of scenes: images [B, 3, S, S], masks [P, S, S] bool of targets, the image of each, [P].

    `first` is the number of its first image among all.
    """

    images: Tensor
    masks: Tensor
    image: Tensor
    first: int


def engine_models(folder: Path, engine: EngineSettings) -> dict[str, Path]:
    """The model of each round."""
    return {one.name: folder / "models" / one.name / "model.safetensors" for one in engine.rounds()}


def control_models(folder: Path, engine: EngineSettings) -> dict[str, Path]:
    """The first round's model, and it trained on as often as the engine's, on the same pictures as before."""
    first, *later = engine.rounds()
    path = engine_models(folder, engine)[first.name]
    paths = {first.name: path}
    for number, one in enumerate(later, 1):
        home, seed = folder / "control" / one.name, training_seed(engine, number)
        trained_on(folder / first.trains_on, home, engine.preset, engine.later, seed, path)
        path = paths[one.name] = home / "model.safetensors"
    return paths


def held_out_scenes(engine: EngineSettings, settings: Settings) -> list[HeldOut]:
    """The targets of `measure_world` in scenes of the engine's world, drawn once for all models."""
    size, found, done = CONFIGS[engine.preset].image_size, [], 0
    for seed in settings.seeds:
        for scenes in evaluation_scenes(engine.world, settings.images, size, seed, "cpu", **engine.knobs):
            generator = torch.Generator().manual_seed(seed + done)
            image, node = choose_targets(scenes, TARGETS_PER_IMAGE, generator, engine.min_area)
            masks = scenes.labels[image, scenes.level[image, node].long()] == node[:, None, None]
            found.append(HeldOut(scenes.images, masks, image, done))
            done += len(scenes.images)
    return [scenes for scenes in found if len(scenes.masks)]


def image_of_each_target(held_out: Sequence[HeldOut]) -> Tensor:
    """Its number among all images, [P]."""
    return torch.cat([scenes.image + scenes.first for scenes in held_out])


@torch.inference_mode()
def shown_after_a_click(path: Path, held_out: Sequence[HeldOut]) -> Tensor:
    """IoU of the mask that the model in `path` shows for a click in the centre of each target, [P]."""
    sam, shown = load_checkpoint(path), []
    for scenes in held_out:
        prompted = Prompted(sam, sam.image_encoder(sam.preprocess(scenes.images)), scenes.image)
        clicks = simulate_clicks(prompted, scenes.masks, interior_points(scenes.masks)[0], 1)
        shown.append(clicks.shown_iou[:, 0])
    return torch.cat(shown)

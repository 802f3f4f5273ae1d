"""The masks of a world on which a network is measured: scenes that were not used for training, nodes of all levels.

Training seeds lie below 2³¹ (minisam/seeds.py) and evaluation seeds start there: scenes of the training world are new
ones too.  Scenes are always drawn eight at a time: the first N images of a larger evaluation are those of a smaller
one, for any batch size of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.train.targets import MIN_AREA, eligible_nodes

FIRST_SEED = 2**31
SCENES_PER_BATCH = 8
BATCHES_PER_SEED = 10_000
DrawScenes: TypeAlias = Callable[[], SceneBatch]


def evaluation_scenes(
    world: str,
    images: int,
    image_size: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    **knobs: float,
) -> Iterator[SceneBatch]:
    """`images` scenes of a world in batches of at most eight; `seed` 0, 1, … gives other scenes each time."""
    for draw in evaluation_batches(world, images, image_size, seed, device, **knobs):
        yield draw()


def evaluation_batches(
    world: str,
    images: int,
    image_size: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    **knobs: float,
) -> list[DrawScenes]:
    """The batches of `evaluation_scenes`, none of them drawn yet."""

    def draw(batch: int) -> SceneBatch:
        scene_seed = FIRST_SEED + seed * BATCHES_PER_SEED + batch
        scenes = render_scenes(scene_seed, SCENES_PER_BATCH, image_size, world=world, device=device, **knobs)
        return first_scenes(scenes, images - batch * SCENES_PER_BATCH)

    return [partial(draw, batch) for batch in range(-(-images // SCENES_PER_BATCH))]


def first_scenes(scenes: SceneBatch, count: int) -> SceneBatch:
    return replace(scenes, **{field.name: getattr(scenes, field.name)[:count] for field in fields(scenes)})


def choose_targets(
    scenes: SceneBatch, per_image: int, generator: torch.Generator, min_area: float = MIN_AREA
) -> tuple[Tensor, Tensor]:
    """At most `per_image` eligible nodes of every image, levels in turn: image index [P] and node [P].

    `min_area` is a fraction of the image.  `generator` is on the CPU: every device measures the same masks.
    """
    eligible = eligible_nodes(scenes, min_area).cpu()
    levels = scenes.level.cpu()
    order = torch.rand(eligible.shape, generator=generator)
    turn = torch.full(eligible.shape, torch.inf)
    for level in range(3):
        of_level = eligible & (levels == level)
        rank = torch.where(of_level, order, torch.inf).argsort(dim=1).argsort(dim=1)
        turn = torch.where(of_level, rank + order / 2, turn)
    chosen = turn.argsort(dim=1)[:, :per_image]
    image_index, place = turn.gather(1, chosen).isfinite().nonzero(as_tuple=True)
    return image_index.to(scenes.images.device), chosen[image_index, place].to(scenes.images.device)

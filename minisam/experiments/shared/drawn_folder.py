"""Scenes of a world as if they were a folder of the user's images: for experiments on adaptation.

Scene i of a seed is the same in every run.  Masks are those of all nodes that are visible: wholes, parts, subparts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.data.segments import Picture, Segment
from minisam.data.skipped import Skipped
from minisam.seeds import hash_seed

PER_BATCH = 8


@dataclass(frozen=True)
class NodeSegment(Segment):
    """One node of a scene."""

    def mask(self) -> NDArray[np.bool_]:
        return self.segmentation


class DrawnFolder:
    """`images` scenes of a world, or of several in turn, eight of each; a SegmentationFolder."""

    def __init__(self, worlds: Sequence[str], images: int, image_size: int, seed: int) -> None:
        world = "+".join(worlds)
        self.world, self.worlds, self.image_size, self.seed = world, tuple(worlds), image_size, seed
        self.path, self.skipped = Path(world), Skipped()
        self.names: Sequence[str] = [f"{world}-{seed}-{number}" for number in range(images)]

    def read(self, index: int) -> Picture:
        batch = index // PER_BATCH
        world = self.worlds[batch % len(self.worlds)]
        scenes = batch_of(world, hash_seed(self.seed, batch), self.image_size)
        number = index % PER_BATCH
        labels, levels = scenes.labels[number].numpy(), scenes.level[number].tolist()
        size = (self.image_size, self.image_size)
        segments: list[Segment] = [
            NodeSegment(f"{self.names[index]}#{node}", labels[level] == node, size)
            for node, level in enumerate(levels)
            if level >= 0
        ]
        image = scenes.images[number].permute(1, 2, 0).contiguous().numpy()
        return Picture(self.names[index], image, segments)

    def fingerprint(self) -> str:
        return f"{self.world} {self.seed} {len(self.names)} {self.image_size}"


@lru_cache(maxsize=2)
def batch_of(world: str, seed: int, image_size: int) -> SceneBatch:
    return render_scenes(seed, PER_BATCH, image_size, world=world)

"""Unlabelled images, and their true objects, which only the simulated annotator knows.

The images of an engine are numbered from 0; image n is scene n % 8 of batch n // 8, as in
minisam/data/partworld/export.py. An image does not depend on their total number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.data.partworld.export import SCENES_PER_BATCH, SEEDS


@dataclass(frozen=True)
class UnlabelledPicture:
    """An image [S, S, 3] uint8 and its objects, masks [n, S, S] bool, the most prominent (largest) first."""

    number: int
    image: NDArray[np.uint8]
    objects: Tensor

    def prominent(self, min_area: float) -> Tensor:
        """The objects of at least that share of the image."""
        pixels = self.objects.shape[-1] ** 2
        return self.objects[self.objects.sum(dim=(1, 2)) >= min_area * pixels]


def unlabelled_pictures(
    numbers: Iterable[int], world: str, image_size: int, seed: int, knobs: Mapping[str, float]
) -> Iterator[UnlabelledPicture]:
    """The images of these increasing numbers.  Raises ValueError as `render_scenes` does."""
    for batch, wanted in groupby(numbers, lambda number: number // SCENES_PER_BATCH):
        scenes = render_scenes(seed * SEEDS + batch, SCENES_PER_BATCH, image_size, world, "cpu", **knobs)
        for number in wanted:
            place = number % SCENES_PER_BATCH
            image = scenes.images[place].permute(1, 2, 0).contiguous().numpy()
            yield UnlabelledPicture(number, image, objects_of(scenes, place))


def objects_of(scenes: SceneBatch, place: int) -> Tensor:
    """The visible nodes of a scene, [n, S, S] bool, largest first; of equals, in the order of the tree."""
    visible = ((scenes.level[place] >= 0) & (scenes.area[place] > 0)).nonzero()[:, 0]
    order = scenes.area[place][visible].argsort(descending=True, stable=True)
    nodes = visible[order]
    labels = scenes.labels[place][scenes.level[place][nodes].long()]
    return labels == nodes.to(labels.dtype)[:, None, None]

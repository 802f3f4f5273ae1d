"""Pictures that nobody has labelled yet, and what only the simulated annotator knows: everything that is in them.

One number for each picture of an engine, from 0 on; picture n is scene n % 8 of batch n // 8, as in
minisam/data/partworld/export.py, so that a picture never depends on how many there are.
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
    """An image [S, S, 3] uint8 and its things, masks [n, S, S] bool, the most prominent, that is largest, first."""

    number: int
    image: NDArray[np.uint8]
    things: Tensor

    def prominent(self, min_area: float) -> Tensor:
        """The things of at least that share of the image."""
        pixels = self.things.shape[-1] ** 2
        return self.things[self.things.sum(dim=(1, 2)) >= min_area * pixels]


def unlabelled_pictures(
    numbers: Iterable[int], world: str, image_size: int, seed: int, knobs: Mapping[str, float]
) -> Iterator[UnlabelledPicture]:
    """The pictures of these numbers, rising.  Raises ValueError as `render_scenes` does."""
    for batch, wanted in groupby(numbers, lambda number: number // SCENES_PER_BATCH):
        scenes = render_scenes(seed * SEEDS + batch, SCENES_PER_BATCH, image_size, world, "cpu", **knobs)
        for number in wanted:
            place = number % SCENES_PER_BATCH
            image = scenes.images[place].permute(1, 2, 0).contiguous().numpy()
            yield UnlabelledPicture(number, image, things_of(scenes, place))


def things_of(scenes: SceneBatch, place: int) -> Tensor:
    """The visible nodes of a scene, [n, S, S] bool, largest first; of equals the one that the tree has first."""
    visible = ((scenes.level[place] >= 0) & (scenes.area[place] > 0)).nonzero()[:, 0]
    order = scenes.area[place][visible].argsort(descending=True, stable=True)
    nodes = visible[order]
    labels = scenes.labels[place][scenes.level[place][nodes].long()]
    return labels == nodes.to(labels.dtype)[:, None, None]

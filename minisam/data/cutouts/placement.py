"""Random positions, sizes and angles of the cut-outs of a scene, from tiny ones to almost the whole image.

A scene is one of four kinds, whose objects are of similar size, or it is layered: large objects behind small ones, as
people in front of a bus.  Some scenes repeat a few cut-outs many times; the network then learns to separate an object
from neighbours of the same kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

REPEATING_SHARE = 0.35
LARGEST_ENLARGEMENT = 1.6
"""The largest factor by which a cut-out is enlarged."""


@dataclass(frozen=True)
class Kind:
    """How many objects, and the range of their longer side as a share of the image's."""

    weight: float
    fewest: int
    most: int
    smallest: float
    largest: float


KINDS = (
    Kind(0.25, 1, 2, 0.45, 1.15),
    Kind(0.35, 2, 5, 0.20, 0.80),
    Kind(0.28, 5, 12, 0.10, 0.45),
    Kind(0.12, 12, 30, 0.05, 0.22),
)
LAYERED = Kind(1.0, 3, 9, 0.08, 1.3)


@dataclass(frozen=True)
class Placement:
    """One object: the index of its cut-out, and the affine map of its centre and axes.

    centre (x, y) and side in fractions of the image; angle in radians; stretch multiplies the ratio of width to
    height.
    """

    cutout: int
    centre: tuple[float, float]
    side: float
    angle: float
    stretch: float
    mirrored: bool


def sample_placements(random: np.random.Generator, cutouts: int, layered: float = 0.0) -> list[Placement]:
    """The objects of one scene, from the back to the front; `cutouts` is how many there are to choose from.

    `layered` is the share of layered scenes.
    """
    if layered and random.random() < layered:
        return sorted(placements_of(random, LAYERED, cutouts), key=lambda place: -place.side)
    kind = KINDS[random.choice(len(KINDS), p=[kind.weight for kind in KINDS])]
    return placements_of(random, kind, cutouts)


def placements_of(random: np.random.Generator, kind: Kind, cutouts: int) -> list[Placement]:
    """The objects of a scene of this kind, in random order."""
    count = int(random.integers(kind.fewest, kind.most + 1))
    chosen = random.integers(cutouts, size=count)
    if random.random() < REPEATING_SHARE:
        chosen = chosen[random.integers(min(3, count), size=count)]
    return [
        Placement(
            cutout=int(number),
            centre=(random.uniform(0.02, 0.98), random.uniform(0.02, 0.98)),
            side=math.exp(random.uniform(math.log(kind.smallest), math.log(kind.largest))),
            angle=sample_angle(random),
            stretch=math.exp(random.normal(0, 0.08)),
            mirrored=bool(random.random() < 0.5),
        )
        for number in chosen
    ]


def sample_angle(random: np.random.Generator) -> float:
    """Mostly a few degrees, as for objects in photographs; any angle for one in four."""
    return random.uniform(-math.pi, math.pi) if random.random() < 0.25 else random.normal(0, 0.12)

"""The work on one image, by an annotator or by the model alone: masks, and their costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

MODEL, BRUSH, GIVEN, AUTOMATIC = "model", "brush", "given", "automatic"
"""The source of a mask: clicks only, clicks and the brush, the detector's boxes, the grid of points."""


@dataclass(frozen=True)
class CollectedMask:
    """A mask [S, S] bool that goes into the data set.

    `point` is (x, y) of its first click; `true_iou` is with its true object, which only the simulation knows; clicks
    and seconds are those of this mask only.
    """

    mask: Tensor
    source: str
    clicks: int
    seconds: float
    true_iou: float
    predicted_iou: float
    stability_score: float = 1.0
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class Work:
    """An image's masks, and all clicks and seconds for it, including those on skipped objects."""

    masks: Sequence[CollectedMask] = field(default_factory=list)
    clicks: int = 0
    seconds: float = 0.0
    left: int = 0
    """Objects skipped because they took too long."""
    rejected: int = 0
    """Given masks that fit no object, were not good enough, or were of an object that was already done."""

    def __add__(self, later: Work) -> Work:
        return Work(
            [*self.masks, *later.masks],
            self.clicks + later.clicks,
            self.seconds + later.seconds,
            self.left + later.left,
            self.rejected + later.rejected,
        )

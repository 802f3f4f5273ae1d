"""What an annotator or the model alone leaves behind on one picture: masks, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

MODEL, BRUSH, GIVEN, AUTOMATIC = "model", "brush", "given", "automatic"
"""Where a mask is from: clicks alone, clicks and the brush, the detector's boxes, the grid of points."""


@dataclass(frozen=True)
class CollectedMask:
    """A mask [S, S] bool that goes into the data set.

    `point` is (x, y) of its first click; `true_iou` is with the thing that it is of, which only the simulation
    knows; clicks and seconds are those of this mask alone.
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
    """A picture's masks, and all clicks and seconds that went into it, those on things that were left included."""

    masks: Sequence[CollectedMask] = field(default_factory=list)
    clicks: int = 0
    seconds: float = 0.0
    left: int = 0
    """Things that took too long."""
    rejected: int = 0
    """Given masks that were of nothing, not right enough, or of a thing that was done already."""

    def __add__(self, later: Work) -> Work:
        return Work(
            [*self.masks, *later.masks],
            self.clicks + later.clicks,
            self.seconds + later.seconds,
            self.left + later.left,
            self.rejected + later.rejected,
        )

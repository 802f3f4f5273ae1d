"""The remaining masks as parallel arrays, which the steps of the generator filter and join."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from minisam.masks.runs import Borders


@dataclass(frozen=True)
class Candidates:
    """N masks, in pixels of the image.

    borders: the runs of each; boxes [N, 4] (x0, y0, x1, y1) and crop_boxes [N, 4], int64; iou_predictions and
    stability_scores [N], float32; points [N, 2] (x, y), float64.
    """

    borders: list[Borders]
    boxes: NDArray[np.int64]
    crop_boxes: NDArray[np.int64]
    iou_predictions: NDArray[np.float32]
    stability_scores: NDArray[np.float32]
    points: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.borders)

    def take(self, indices: NDArray[np.int64]) -> Candidates:
        """Those at `indices`, in that order."""
        borders = [self.borders[index] for index in indices]
        arrays = {name: getattr(self, name)[indices] for name in ARRAYS}
        return replace(self, borders=borders, **arrays)


ARRAYS = [field.name for field in fields(Candidates) if field.name != "borders"]


def join(parts: list[Candidates]) -> Candidates:
    """All masks of the parts, one part after the other."""
    borders = [mask for part in parts for mask in part.borders]
    return Candidates(borders, **{name: np.concatenate([getattr(p, name) for p in parts]) for name in ARRAYS})


def no_candidates() -> Candidates:
    box, number = np.zeros((0, 4), np.int64), np.zeros(0, np.float32)
    return Candidates([], box, box, number, number, np.zeros((0, 2)))

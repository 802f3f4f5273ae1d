"""Whether two generators found the same masks, up to rounding.

With different rounding, pixels close to a threshold may fall on either side of it.  Two records count as the same if
they come from the same click and their masks agree in all but a thousandth of their pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SAME_IOU = 0.999


@dataclass(frozen=True)
class RecordComparison:
    """ours, theirs: how many masks each found; same: how many masks have a counterpart.

    same_order: whether the counterparts are in the same order; lowest_iou: the lowest IoU of two counterparts;
    score_difference: the largest difference of predicted IoU or stability score.
    """

    ours: int
    theirs: int
    same: int
    same_order: bool
    lowest_iou: float
    score_difference: float

    @property
    def all_same(self) -> bool:
        return self.ours == self.theirs == self.same

    def sentence(self) -> str:
        return (
            f"{self.same} masks the same of {self.ours} and {self.theirs}, "
            f"{'in the same order' if self.same_order else 'in another order'}; "
            f"their lowest IoU {self.lowest_iou:.6f}, scores differ by {self.score_difference:.1e} at most"
        )


def compare_records(
    ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> RecordComparison:
    """Records of binary masks; every record has at most one counterpart."""
    by_click = defaultdict(list)
    for place, record in enumerate(theirs):
        by_click[click_of(record)].append(place)
    pairs, ious, differences = [], [], [0.0]
    for record in ours:
        left = by_click[click_of(record)]
        overlaps = [mask_iou(record["segmentation"], theirs[other]["segmentation"]) for other in left]
        if overlaps and max(overlaps) >= SAME_IOU:
            other = left.pop(int(np.argmax(overlaps)))
            pairs.append(other)
            ious.append(max(overlaps))
            for key in ("predicted_iou", "stability_score"):
                differences.append(abs(record[key] - theirs[other][key]))
    return RecordComparison(
        ours=len(ours),
        theirs=len(theirs),
        same=len(pairs),
        same_order=pairs == sorted(pairs),
        lowest_iou=min(ious, default=0.0),
        score_difference=max(differences),
    )


def click_of(record: Mapping[str, Any]) -> tuple[float, ...]:
    """The click that a mask came from, and its crop."""
    return (*record["point_coords"][0], *record["crop_box"])


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """1 for two empty masks."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0

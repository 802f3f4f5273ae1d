"""Statistics of a round of the engine, computed from its records.

clicks, seconds per mask         all work, including that on skipped objects, divided by the number of masks kept
share over 0.9 and 0.75          of masks by their IoU with the truth, the paper's measure of quality (section 5)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minisam.engine.settings import Round
from minisam.engine.work import BRUSH, MODEL
from minisam.errors import DatasetError

BY_HAND = (MODEL, BRUSH)


@dataclass(frozen=True)
class Tally:
    """Counts over the images of a round."""

    pictures: int = 0
    masks: int = 0
    by_hand: int = 0
    """Masks made with clicks; the others were given, or found by the grid."""
    clicks: int = 0
    seconds: float = 0.0
    left: int = 0
    rejected: int = 0
    over_90: int = 0
    over_75: int = 0

    @staticmethod
    def of(records: Iterable[Mapping[str, Any]]) -> Tally:
        """The sum over records, which minisam/engine/records.py writes.

        Raises DatasetError for a record that the engine did not write.
        """
        total = Tally()
        for record in records:
            try:
                total += Tally.of_one(record)
            except (KeyError, TypeError) as error:
                name = record["image"]["file_name"]
                raise DatasetError(
                    f"the record of {name} was not written by the engine: {error}; delete it"
                ) from None
        return total

    @staticmethod
    def of_one(record: Mapping[str, Any]) -> Tally:
        about, masks = record["engine"], record["annotations"]
        return Tally(
            1,
            len(masks),
            sum(mask["source"] in BY_HAND for mask in masks),
            about["clicks"],
            about["seconds"],
            about["left"],
            about["rejected"],
            sum(mask["true_iou"] > 0.9 for mask in masks),
            sum(mask["true_iou"] > 0.75 for mask in masks),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def summary(self) -> dict[str, float]:
        """The values in the table; without any masks every share is 0."""
        masks, pictures = max(1, self.masks), max(1, self.pictures)
        return {
            "pictures": self.pictures,
            "masks": self.masks,
            "by_hand": self.by_hand,
            "masks_a_picture": self.masks / pictures,
            "clicks_a_mask": self.clicks / masks,
            "seconds_a_mask": self.seconds / masks,
            "left": self.left,
            "rejected": self.rejected,
            "over_90": self.over_90 / masks,
            "over_75": self.over_75 / masks,
        }


@dataclass(frozen=True)
class RoundResult:
    """A round, its statistics, and the quality of the model trained after it: name -> [value, low, high]."""

    round: Round
    tally: Tally
    metrics: dict[str, list[float]]

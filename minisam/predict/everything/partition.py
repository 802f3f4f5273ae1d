"""Overlapping masks -> one label map, in which every pixel belongs to one mask or to none.

Masks are painted one over the other, the visible ones last: small ones over large ones, or ones with a high score
over ones with a low score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from minisam.errors import GeneratorError
from minisam.masks.rle import decode_rle

OnTop = Literal["small", "good"]


def to_partition(
    records: Sequence[Mapping[str, Any]],
    size: tuple[int, int],
    on_top: OnTop = "small",
) -> NDArray[np.int32]:
    """Labels [H, W] for an image of `size`: 0 for no mask, k + 1 for record k.

    `on_top`: "small" shows parts on their wholes, by area; "good" the higher predicted IoU · stability.  Equal
    records keep their order, with the first on top.  Masks may be in any of the output modes.

    Raises GeneratorError for a mask of another size or an unknown `on_top`, RleError for a damaged one.
    """
    if on_top not in get_args(OnTop):
        raise GeneratorError(f"on_top must be one of {', '.join(get_args(OnTop))}, got {on_top!r}")
    labels = np.zeros(size, np.int32)
    for index in sorted(range(len(records)), key=lambda n: (rank(records[n], on_top), -n)):
        mask = as_mask(records[index]["segmentation"])
        if mask.shape != tuple(size):
            raise GeneratorError(f"mask {index} is {list(mask.shape)}, the partition {list(size)}")
        labels[mask] = index + 1
    return labels


def rank(record: Mapping[str, Any], on_top: str) -> float:
    """The painting order of a record: a higher value is painted later."""
    return -record["area"] if on_top == "small" else record["predicted_iou"] * record["stability_score"]


def as_mask(segmentation: Any) -> NDArray[np.bool_]:
    """A record's segmentation, in any of the output modes, as booleans [H, W]; a mask may be of any number type."""
    return decode_rle(segmentation) if isinstance(segmentation, Mapping) else np.asarray(segmentation, bool)

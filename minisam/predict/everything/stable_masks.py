"""The masks of a batch of clicks whose outline hardly moves with the threshold, one after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from minisam.masks.runs import Borders
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks


class StableMask(NamedTuple):
    """Which mask, the runs of its pixels in the image, and its stability score."""

    prompt: int
    channel: int
    borders: Borders
    stability_score: np.float32


def stable_masks(
    masks: LowResolutionMasks, confident: Tensor, lowest: float, offset: tuple[int, int], height: int
) -> list[StableMask]:
    """Those of `confident` [P, C] whose stability is at least `lowest`, in their order; 0 lets everything pass.

    `offset` (x, y): where in an image of `height` rows the crop starts that the masks are of.
    """
    found = []
    for prompt, channel in confident.nonzero().tolist():
        mask = masks.measure(prompt, channel)
        score = mask.stability_at_least(lowest)
        if score is not None:
            found.append(StableMask(prompt, channel, mask.borders(offset, height), score))
    return found

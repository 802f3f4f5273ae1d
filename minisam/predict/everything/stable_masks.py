"""The masks of a batch of clicks whose outline hardly depends on the threshold (SAM section B): the definition.

    for each mask that passes the threshold of predicted IoU
        upscale its logits -> |pixels above t + o| / |pixels above t − o| >= lowest -> the runs above t

This upscales every mask.  upscaled_parts.py on a CPU and kernel_masks.py on a GPU find the same masks faster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from minisam.masks.runs import Borders, mask_to_borders
from minisam.masks.stability_score import stability_of_counts
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks


class StableMask(NamedTuple):
    """The index of a mask, the runs of its pixels in the image, and its stability score."""

    prompt: int
    channel: int
    borders: Borders
    stability_score: np.float32


def stable_masks(
    masks: LowResolutionMasks, confident: Tensor, lowest: float, offset: tuple[int, int], height: int
) -> list[StableMask]:
    """Those of `confident` [P, C] whose stability is at least `lowest`, in their order; 0 lets all pass.

    `offset` (x, y): where the masks' crop starts in an image of `height` rows.
    """
    upscaled = masks.sam.postprocess_masks(masks.low_res, masks.input_size, masks.original_size)
    lower, middle, upper = masks.thresholds
    found = []
    for prompt, channel in confident.nonzero().tolist():
        logits = upscaled[prompt, channel].float().numpy()
        inner, outer = (np.count_nonzero(logits > np.float32(threshold)) for threshold in (upper, lower))
        score = stability_of_counts(inner, outer)
        if lowest <= 0 or score >= np.float32(lowest):
            borders = mask_to_borders((logits > np.float32(middle)).T, offset, height)
            found.append(StableMask(prompt, channel, borders, score))
    return found

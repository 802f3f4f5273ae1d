"""The stability score: how little a mask changes when its threshold moves (SAM section B).

    stability = |logits > threshold + offset| / |logits > threshold − offset|

The first mask lies inside the second; the ratio is therefore their IoU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """Logits [..., H, W] -> scores [...], float32; NaN if no logit is above the lower threshold."""
    inner, outer = (
        (masks > mask_threshold + offset).flatten(-2).sum(-1, dtype=torch.int32)
        for offset in (threshold_offset, -threshold_offset)
    )
    return inner / outer


def stability_of_counts(inner: int | np.intp, outer: int | np.intp) -> np.float32:
    """The same from the numbers of pixels above the two thresholds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.float32(inner) / np.float32(outer)

"""Lesson 23: write four functions, mend the fifth. `minisam lesson check 23 FILE` tells what is right."""

import numpy as np
import torch
from torch import Tensor

from minisam.masks.distance import squared_distance_transform

FIND, CLICK, LOOK = 1.5, 0.9, 1.0


def next_click(masks: Tensor, things: Tensor) -> Tensor:
    """masks shown and things wanted, [P, H, W] of 0 and 1 -> [P, 3]: x, y, and 1 for foreground, 0 for background."""
    raise NotImplementedError


def outline_length(regions: np.ndarray) -> np.ndarray:
    """regions [P, H, W] of 0 and 1 -> [P]: pixels of each that have a side in common with what is outside."""
    raise NotImplementedError


def annotation_seconds(
    iou: np.ndarray, brush: np.ndarray, satisfied: float, most_seconds: float
) -> np.ndarray:
    """iou and brush (in seconds) after each click [P, N] -> [P, 2]: seconds spent, and 1 if a mask came of it."""
    raise NotImplementedError


def still_missing(
    masks: np.ndarray, predicted_iou: np.ndarray, things: np.ndarray, right: float
) -> np.ndarray:
    """masks [N, H, W] and things [T, H, W] of 0 and 1, predicted_iou [N] -> [T], 1 for a thing without a mask."""
    raise NotImplementedError


def tally(seconds: np.ndarray, kept: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """All [pictures, things], kept 1 or 0 -> [3]: seconds a mask, masks a picture, the share of masks over 0.9.

    Three bugs are in it.
    """
    masks = kept.sum(axis=1)
    worked = masks > 0
    of_masks = (seconds * kept).sum(axis=1)
    a_mask = (of_masks[worked] / masks[worked]).mean()
    a_picture = masks[worked].mean()
    over_90 = (iou[kept > 0] > 0.9).mean()
    return np.array([a_mask, a_picture, over_90], seconds.dtype)

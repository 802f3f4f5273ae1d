"""Solutions of lesson 23."""

import numpy as np
import torch
from torch import Tensor

from minisam.masks.distance import squared_distance_transform

FIND, CLICK, LOOK = 1.5, 0.9, 1.0


def next_click(masks: Tensor, things: Tensor) -> Tensor:
    mask, thing = masks > 0.5, things > 0.5
    missed, spilled = thing & ~mask, mask & ~thing
    perfect = ~(missed | spilled).flatten(1).any(dim=1)
    spilled = torch.where(perfect[:, None, None], ~thing, spilled)
    miss_depth = squared_distance_transform(missed).flatten(1)
    spill_depth = squared_distance_transform(spilled).flatten(1)
    foreground = miss_depth.amax(dim=1) > spill_depth.amax(dim=1)
    place = torch.where(foreground, miss_depth.argmax(dim=1), spill_depth.argmax(dim=1))
    x, y = place % masks.shape[2], place // masks.shape[2]
    return torch.stack([x, y, foreground.long()], dim=1).to(masks.dtype)


def outline_length(regions: np.ndarray) -> np.ndarray:
    inside = regions > 0.5
    padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)))
    above, below = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    surrounded = above & below & left & right
    return (inside & ~surrounded).sum(axis=(1, 2)).astype(regions.dtype)


def annotation_seconds(
    iou: np.ndarray, brush: np.ndarray, satisfied: float, most_seconds: float
) -> np.ndarray:
    right = iou > satisfied
    done = right.any(axis=1)
    clicks = np.where(done, right.argmax(axis=1) + 1, iou.shape[1])
    seconds = FIND + clicks * (CLICK + LOOK)
    finished = seconds + np.where(done, 0, brush[:, -1])
    kept = done | (finished <= most_seconds)
    spent = np.where(kept, finished, seconds)
    return np.stack([spent, kept], axis=1).astype(iou.dtype)


def still_missing(
    masks: np.ndarray, predicted_iou: np.ndarray, things: np.ndarray, right: float
) -> np.ndarray:
    missing = np.ones(len(things), masks.dtype)
    for place in np.argsort(-predicted_iou, kind="stable"):
        mask, thing = masks[place] > 0.5, things > 0.5
        iou = (mask & thing).sum(axis=(1, 2)) / (mask | thing).sum(axis=(1, 2))
        iou = np.where(missing > 0, iou, 0)
        best = iou.argmax()
        if iou[best] > right:
            missing[best] = 0
    return missing


def tally(seconds: np.ndarray, kept: np.ndarray, iou: np.ndarray) -> np.ndarray:
    masks = kept.sum()
    a_mask = seconds.sum() / masks
    a_picture = masks / len(kept)
    over_90 = (iou[kept > 0] > 0.9).mean()
    return np.array([a_mask, a_picture, over_90], seconds.dtype)

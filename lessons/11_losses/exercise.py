"""Lesson 11: write the first four functions, mend the fifth. `minisam lesson check 11 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def focal_loss(logits: np.ndarray, targets: np.ndarray, alpha: float, gamma: float) -> np.ndarray:
    """logits and targets [P, h, w], targets in 0 … 1 -> [P], the mean over the pixels of each mask."""
    raise NotImplementedError


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """logits and targets [P, h, w], targets in 0 … 1 -> [P]."""
    raise NotImplementedError


def one_mask_ceiling(masks: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Nested masks [T, L, h, w] of 0 and 1, and how likely each is, [T, L] -> the best expected IoU, [T]."""
    raise NotImplementedError


def best_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """logits [P, M, h, w], targets [P, h, w] -> [P]: 20 focal + dice of the best of the M masks of each prompt."""
    raise NotImplementedError


def iou_target(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """logits [P, M, h, w], targets [P, h, w] -> the true IoU of every mask, [P, M]. There is a bug in it."""
    masks = logits > 0.5
    wanted = (targets > 0.5)[:, None]
    overlap = (masks & wanted).sum(axis=(-2, -1))
    union = (masks | wanted).sum(axis=(-2, -1))
    return (overlap / np.maximum(union, 1)).astype(logits.dtype)

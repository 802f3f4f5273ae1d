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


def mask_loss(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """logits [P, h, w], targets [P, h, w] -> cross-entropy + dice of each mask, [P]. There is a bug in it."""
    inside = 1 / (1 + np.exp(-logits))
    shared = (inside * targets).sum(axis=(-2, -1))
    areas = inside.sum(axis=(-2, -1)) + targets.sum(axis=(-2, -1))
    dice = 1 - (2 * shared + 1) / (areas + 1)
    cross_entropy = np.logaddexp(0, inside) - inside * targets
    return cross_entropy.mean(axis=(-2, -1)) + dice

"""Lesson 0: write the first two functions, mend the third. `minisam lesson check 0 FILE` tells what is right."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor


def to_network_pixels(points: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """Points [n, 2] as (x, y) on an image of height × width -> the same on the image the network sees."""
    raise NotImplementedError


def logits_to_image(logits: Tensor, height: int, width: int, size: int) -> Tensor:
    """logits [C, h, w] for the padded square of size × size pixels -> [C, height, width] for the image."""
    raise NotImplementedError


def mask_iou(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """logits [M, H, W], truth [M, H, W] of 0 and 1 -> the IoU of each mask, [M]. There is a bug in it."""
    mask, true = logits > 0.5, truth == 1
    intersection = (mask & true).sum(axis=(1, 2))
    union = (mask | true).sum(axis=(1, 2))
    return (intersection / np.maximum(union, 1)).astype(logits.dtype)

"""Lesson 13: write four functions, mend the fifth. `minisam lesson check 13 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def stability_score(logits: np.ndarray, threshold: float, offset: float) -> np.ndarray:
    """logits [N, H, W] -> scores [N]."""
    raise NotImplementedError


def box_iou(boxes: Tensor) -> Tensor:
    """boxes [N, 4] as (x0, y0, x1, y1) -> IoU of each with each, [N, N]; no loop."""
    raise NotImplementedError


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """boxes [N, 4] as (x0, y0, x1, y1), scores [N] -> [N], 1 for a box that stays and 0 for one that goes."""
    raise NotImplementedError


def run_lengths(mask: np.ndarray) -> np.ndarray:
    """mask [H, W] of 0 and 1 -> COCO's counts: lengths of the runs down the columns, zeros first."""
    raise NotImplementedError


def decode(counts: np.ndarray, height: int, width: int) -> np.ndarray:
    """COCO's counts -> mask [height, width] of 0 and 1. There is a bug in it."""
    values = np.arange(len(counts)) % 2
    pixels = np.repeat(values, counts.astype(int))
    mask = pixels.reshape(height, width)
    return mask.astype(counts.dtype)

"""Lesson 26: write the first functions, fix the last. `minisam lesson check 26 FILE` checks them."""

import numpy as np
import torch
from torch import Tensor

from minisam.detect.roi_align import roi_align as align

STRIDES = (8, 16, 32)  # of the maps of the last function, in pixels


def grid_anchors(
    scales: np.ndarray, ratios: np.ndarray, height: int, width: int, stride: float
) -> np.ndarray:
    """scales [S], ratios [R], a map of height × width cells -> boxes (x0, y0, x1, y1), [height·width·S·R, 4]."""
    raise NotImplementedError


def match_anchors(iou: np.ndarray, positive: float, negative: float, lowest: float) -> np.ndarray:
    """iou [n, m] of n anchors and m objects -> [n]: the number of an anchor's object, -1 background, -2 ignored."""
    raise NotImplementedError


def value_at(features: np.ndarray, y: float, x: float) -> np.ndarray:
    """The value of a map [C, H, W] at a point in cells, [C]: bilinear; at the border, that of the nearest cell."""
    _, H, W = features.shape
    of_row = np.maximum(1 - abs(np.clip(y, 0, H - 1) - np.arange(H)), 0)
    of_column = np.maximum(1 - abs(np.clip(x, 0, W - 1) - np.arange(W)), 0)
    return of_row @ features @ of_column


def roi_align(features: np.ndarray, box: np.ndarray, stride: float, side: int) -> np.ndarray:
    """A map [C, H, W] and a box [4] (x0, y0, x1, y1) in pixels -> [C, side, side]."""
    raise NotImplementedError


def write_tokens(numbers: Tensor, points: int) -> Tensor:
    """numbers [n, points·2·E] -> tokens [n, points, E]."""
    raise NotImplementedError


def features_of_boxes(
    fine: Tensor, middle: Tensor, coarse: Tensor, boxes: Tensor, finest: float, side: int
) -> Tensor:
    """Maps [C, h, w] with strides 8, 16 and 32, boxes [n, 4] in pixels -> features [n, C, side, side].

    There is a bug in it.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    level = (sides / finest).log2().floor().clamp(0, 2)
    parts = []
    for number, features in enumerate((fine, middle, coarse)):
        own = boxes[level == number]
        image = torch.zeros(len(own), dtype=torch.long)
        parts.append(align(features[None], own, image, 1 / STRIDES[number], side))
    return torch.cat(parts)

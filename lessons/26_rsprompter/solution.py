"""Solutions of lesson 26."""

import math

import numpy as np
import torch
from torch import Tensor

from minisam.detect.roi_align import roi_align as align

STRIDES = (8, 16, 32)  # of the maps of the last function, in pixels


def grid_anchors(
    scales: np.ndarray, ratios: np.ndarray, height: int, width: int, stride: float
) -> np.ndarray:
    """scales [S], ratios [R], a map of height × width cells -> boxes (x0, y0, x1, y1), [height·width·S·R, 4]."""
    sides = stride * scales[:, None]
    wide, high = (sides / np.sqrt(ratios)).ravel(), (sides * np.sqrt(ratios)).ravel()
    of_cell = np.stack([-wide, -high, wide, high], axis=1) / 2
    y, x = stride * np.mgrid[:height, :width]
    centres = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    return (centres + of_cell).reshape(-1, 4).astype(scales.dtype)


def match_anchors(iou: np.ndarray, positive: float, negative: float, lowest: float) -> np.ndarray:
    """iou [n, m] of n anchors and m objects -> [n]: the number of an anchor's object, -1 background, -2 ignored."""
    match = np.where(iou.max(axis=1) >= positive, iou.argmax(axis=1), -2)
    match[iou.max(axis=1) < negative] = -1
    for number, best in enumerate(iou.max(axis=0)):
        if best >= lowest:
            match[iou[:, number] == best] = number
    return match.astype(iou.dtype)


def value_at(features: np.ndarray, y: float, x: float) -> np.ndarray:
    """The value of a map [C, H, W] at a point in cells, [C]: bilinear; at the border, that of the nearest cell."""
    _, H, W = features.shape
    of_row = np.maximum(1 - abs(np.clip(y, 0, H - 1) - np.arange(H)), 0)
    of_column = np.maximum(1 - abs(np.clip(x, 0, W - 1) - np.arange(W)), 0)
    return of_row @ features @ of_column


def roi_align(features: np.ndarray, box: np.ndarray, stride: float, side: int) -> np.ndarray:
    """A map [C, H, W] and a box [4] (x0, y0, x1, y1) in pixels -> [C, side, side]."""
    x0, y0, x1, y1 = box / stride - 0.5
    bin_height, bin_width = (y1 - y0) / side, (x1 - x0) / side
    down, across = math.ceil(bin_height), math.ceil(bin_width)
    out = np.zeros((len(features), side, side), features.dtype)
    for row in range(side):
        for column in range(side):
            for i in range(down):
                y = y0 + bin_height * (row + (i + 0.5) / down)
                for j in range(across):
                    x = x0 + bin_width * (column + (j + 0.5) / across)
                    out[:, row, column] += value_at(features, y, x) / (down * across)
    return out


def write_tokens(numbers: Tensor, points: int) -> Tensor:
    """numbers [n, points·2·E] -> tokens [n, points, E]."""
    pairs = numbers.unflatten(1, (points, -1, 2))
    return pairs[..., 0].sin() + pairs[..., 1]


def features_of_boxes(
    fine: Tensor, middle: Tensor, coarse: Tensor, boxes: Tensor, finest: float, side: int
) -> Tensor:
    """Maps [C, h, w] with strides 8, 16 and 32, boxes [n, 4] in pixels -> features [n, C, side, side]."""
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    level = (sides / finest).log2().floor().clamp(0, 2)
    parts, places = [], []
    for number, features in enumerate((fine, middle, coarse)):
        own = (level == number).nonzero()[:, 0]
        image = torch.zeros(len(own), dtype=torch.long)
        parts.append(align(features[None], boxes[own], image, 1 / STRIDES[number], side))
        places.append(own)
    return torch.cat(parts)[torch.cat(places).argsort()]

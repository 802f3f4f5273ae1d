"""Solutions of lesson 12."""

import numpy as np
import torch
from torch import Tensor


def sample_points(region: np.ndarray, draw: np.ndarray, image_size: int) -> np.ndarray:
    points = np.zeros((len(region), 2), region.dtype)
    scale = image_size / region.shape[-1]
    for prompt, inside in enumerate(region):
        y, x = np.nonzero(inside)
        rank = int(draw[prompt] * len(x))
        points[prompt] = x[rank], y[rank]
    return (points + 0.5) * scale - 0.5


def noisy_boxes(masks: np.ndarray, noise: np.ndarray) -> np.ndarray:
    size = masks.shape[-1]
    boxes = np.zeros((len(masks), 4), noise.dtype)
    for prompt, mask in enumerate(masks):
        y, x = np.nonzero(mask)
        boxes[prompt] = x.min(), y.min(), x.max(), y.max()
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    moved = 0.1 * noise * np.tile(sides, 2)
    limit = 20 / 1024 * size
    return np.clip(boxes + np.clip(moved, -limit, limit), 0, size - 1)


def corrections(logits: Tensor, targets: Tensor) -> Tensor:
    predicted = logits > 0
    wanted = targets > 0.5
    missed = wanted & ~predicted
    spilled = predicted & ~wanted
    perfect = ~(missed | spilled).flatten(1).any(dim=1)[:, None, None]
    background = spilled | (perfect & ~wanted)
    return torch.stack([missed, background], dim=1).float()


def feedback(logits: Tensor, iou_predictions: Tensor) -> Tensor:
    best = iou_predictions.argmax(dim=1)
    chosen = logits[range(len(best)), best]
    return chosen[:, None]

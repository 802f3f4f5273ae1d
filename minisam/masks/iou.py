"""Intersection over union of masks.

IoU(a, b) = |a ∧ b| / |a ∨ b|
"""

from __future__ import annotations

import torch
from torch import Tensor


def mask_iou(masks: Tensor, targets: Tensor) -> Tensor:
    """Intersection over union of boolean masks [..., h, w] that broadcast -> [...]; 0 if both are empty."""
    intersection = count_pixels(masks & targets)
    union = count_pixels(masks) + count_pixels(targets) - intersection
    return intersection / union.clamp(min=1)


def count_pixels(masks: Tensor) -> Tensor:
    """Boolean masks [..., h, w] -> pixels inside, [...] int32."""
    return masks.flatten(-2).view(torch.uint8).sum(dim=-1, dtype=torch.int32)

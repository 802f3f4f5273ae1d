"""The mask head of Mask R-CNN: a mask of 28 × 28 pixels in a box, for each class (He et al. 2017, figure 4).

    14 × 14 features of the box -> 4 × (Conv3 -> ReLU) -> ConvT2 -> ReLU -> Conv1: C logits at 28 × 28
    loss:  mean BCE between the logits of the true class and the true mask, cut out by the box

n boxes   C classes   S = 28
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.detect.roi_align import roi_align

FEATURE_SIDE, MASK_SIDE = 14, 28


class FcnMaskHead(nn.Module):
    """Features of boxes [n, channels, 14, 14] -> logits [n, C, 28, 28]."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        convolutions = [
            layer for _ in range(4) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        ]
        self.body = nn.Sequential(
            *convolutions, nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.ReLU()
        )
        self.logits = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.logits(self.body(features))


def masks_in_boxes(masks: Tensor, boxes: Tensor) -> Tensor:
    """True masks [n, H, W] (bool), each cut out by its box [n, 4] (x0, y0, x1, y1) -> [n, 28, 28], 0 or 1."""
    numbers = torch.arange(len(masks), device=masks.device)
    return (roi_align(masks[:, None].float(), boxes, numbers, 1.0, MASK_SIDE)[:, 0] >= 0.5).float()


def paste_masks(logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities of masks in boxes, from logits [n, 28, 28] -> [n, H, W], 0 outside the boxes."""
    height, width = size
    y, x = (torch.arange(cells, device=boxes.device) + 0.5 for cells in size)
    corner, far_corner = boxes[:, None, :2], boxes[:, None, 2:]
    extent = (far_corner - corner).clamp(min=1e-6)
    column = (x[:, None] - corner[..., 0].T) / extent[..., 0].T * 2 - 1  # [W, n], −1 … 1 inside the box
    row = (y[:, None] - corner[..., 1].T) / extent[..., 1].T * 2 - 1
    grid = torch.stack(
        [column.T[:, None].expand(-1, height, -1), row.T[:, :, None].expand(-1, -1, width)], dim=3
    )
    return F.grid_sample(logits[:, None].sigmoid(), grid, align_corners=False)[:, 0]

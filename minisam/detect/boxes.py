"""Boxes (x0, y0, x1, y1) in pixels: around masks, and the overlap of two of them.

    IoU  = overlap / union                    0 for boxes without an area
    GIoU = IoU − (hull − union) / hull        hull: the smallest box around both (Rezatofighi et al. 2019)

The IoU of boxes that do not touch is always 0; the hull term still has a gradient that moves them together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.masks.boxes import tight_boxes
from minisam.masks.nms import box_nms


def boxes_of(masks: Tensor) -> Tensor:
    """Masks [n, S, S] (bool, none empty) -> boxes [n, 4] (x0, y0, x1, y1) around their pixels' outer edges."""
    return tight_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0]) if len(masks) else torch.zeros(0, 4)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Boxes [n, 4] and [m, 4] (x0, y0, x1, y1) -> [n, m], 0 … 1."""
    (a0, a1), (b0, b1) = ((boxes[:, :2], boxes[:, 2:]) for boxes in (first, second))
    overlap = (a1[:, None].minimum(b1) - a0[:, None].maximum(b0)).clamp(min=0).prod(dim=-1)
    union = (a1 - a0).prod(dim=-1)[:, None] + (b1 - b0).prod(dim=-1) - overlap
    return torch.where(overlap > 0, overlap / union, 0)


def kept_by_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Boxes [n, 4] and scores [n], on any device -> the numbers of those kept, best first (minisam/masks/nms.py)."""
    kept = box_nms(boxes.detach().cpu().numpy(), scores.detach().cpu().numpy(), iou_threshold)
    return torch.from_numpy(kept.copy()).to(boxes.device)


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [..., 4] with corners moved into an image of `size` (H, W)."""
    height, width = size
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Boxes [..., 4] (x0, y0, x1, y1) with areas above 0 -> [...], −1 … 1."""
    (a0, a1), (b0, b1) = ((box[..., :2], box[..., 2:]) for box in (first, second))
    overlap = (a1.minimum(b1) - a0.maximum(b0)).clamp(min=0).prod(dim=-1)
    union = (a1 - a0).prod(dim=-1) + (b1 - b0).prod(dim=-1) - overlap
    hull = (a1.maximum(b1) - a0.minimum(b0)).prod(dim=-1)
    return overlap / union - (hull - union) / hull

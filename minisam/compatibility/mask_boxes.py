"""Masks and their boxes on an image and on its crops, with segment-anything's functions.

A box is (x0, y0, x1, y1); it ends in the last pixel of its mask.  Coordinates on a crop are moved by the crop's
corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.predict.everything import crops
from minisam.predict.everything.crops import EDGE_DISTANCE


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """Masks [..., H, W], bool -> boxes [..., 4]; zeros for a mask without a pixel.  Raises TypeError for logits."""
    check_no_logits(masks)
    if masks.numel() == 0:
        return torch.zeros(*masks.shape[:-2], 4, device=masks.device)
    corners = []
    for occupied in (masks.any(dim=-2), masks.any(dim=-1)):  # columns [..., W], rows [..., H]
        steps = occupied.to(torch.uint8)
        first, last = steps.argmax(-1), steps.shape[-1] - 1 - steps.flip(-1).argmax(-1)
        corners.append(torch.stack([first, last], dim=-1))
    boxes = torch.stack(corners, dim=-1).flatten(-2)
    return boxes * masks.flatten(-2).any(-1)[..., None]


def check_no_logits(masks: Tensor) -> None:
    """Every pixel would be in the mask, because logits are hardly ever 0."""
    if masks.is_floating_point():
        raise TypeError(f"masks are {masks.dtype}, not bool; use masks > 0 for logits")


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """A box as a list, an array or a tensor -> a copy (x, y, width, height)."""
    box = deepcopy(box_xyxy)
    box[2], box[3] = box[2] - box[0], box[3] - box[1]
    return box


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = EDGE_DISTANCE
) -> Tensor:
    """Which boxes [N, 4], in pixels of the crop, touch an edge of the crop, to `atol` pixels, but not of the image."""
    boxes = uncrop_boxes_xyxy(boxes, crop_box).float()
    near_crop, near_image = (
        (boxes - boxes.new_tensor(edges)).abs() <= atol for edges in (crop_box, orig_box)
    )
    return (near_crop & ~near_image).any(dim=1)


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Boxes [..., 4] on a crop -> on the image."""
    x0, y0 = crop_box[:2]
    return boxes + torch.tensor([x0, y0, x0, y0], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Points [..., 2] as (x, y) on a crop -> on the image."""
    return points + torch.tensor(crop_box[:2], device=points.device)


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Tensor:
    """Masks [..., h, w] of a crop -> [..., orig_h, orig_w], unset around it."""
    x0, y0, x1, y1 = crop_box
    return F.pad(masks, (x0, orig_w - x1, y0, orig_h - y1), value=0)


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """`minisam.predict.everything.crops.generate_crop_boxes` with each box as a list."""
    boxes, layers = crops.generate_crop_boxes((im_size[0], im_size[1]), n_layers, overlap_ratio)
    return [list(box) for box in boxes], layers

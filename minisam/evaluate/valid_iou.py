"""How well a mask fits *any* object that a click can mean.

    validIoU(mask, click) = max over the levels l of IoU(mask, the node of level l under the click)

A click on a wheel may mean the wheel or the car.  With a known part tree, this measures whether a mask is a
reasonable one, for which the SAM paper needed human raters (section 7.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.masks.iou import mask_iou


def valid_iou(masks: Tensor, labels: Tensor, clicks: Tensor) -> Tensor:
    """validIoU [P] of masks [P, S, S] for clicks [P, 2] as (x, y), on label maps [P, 3, S, S].

    0 if the click is on the background.
    """
    prompts = torch.arange(len(masks), device=masks.device)
    nodes = labels[prompts, :, clicks[:, 1], clicks[:, 0]]
    iou = mask_iou(masks[:, None], labels == nodes[..., None, None])
    return torch.where(nodes >= 0, iou, 0).amax(dim=1)


def valid_iou_of_masks(masks: Tensor, objects: Tensor, clicks: Tensor) -> Tensor:
    """validIoU [P] of masks [P, S, S] if a click can mean any of objects [m, S, S], which may overlap."""
    meant = objects[:, clicks[:, 1], clicks[:, 0]].T
    return torch.where(meant, mask_iou(masks[:, None], objects[None]), 0).amax(dim=1)

"""How good a mask is for *any* thing that a click can mean.

    validIoU(mask, click) = max over the levels l of IoU(mask, the node of level l under the click)

A click on a wheel may mean the wheel or the car.  Where the part tree is known, this says whether an answer
is a sensible one, which the SAM paper had to ask human raters for (section 7.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.masks.iou import mask_iou


def valid_iou(masks: Tensor, labels: Tensor, clicks: Tensor) -> Tensor:
    """validIoU [P] of masks [P, S, S] for clicks [P, 2] as (x, y), on label maps [P, 3, S, S].

    0 where the click is on the background.
    """
    prompts = torch.arange(len(masks), device=masks.device)
    nodes = labels[prompts, :, clicks[:, 1], clicks[:, 0]]
    iou = mask_iou(masks[:, None], labels == nodes[..., None, None])
    return torch.where(nodes >= 0, iou, 0).amax(dim=1)


def valid_iou_of_masks(masks: Tensor, things: Tensor, clicks: Tensor) -> Tensor:
    """validIoU [P] of masks [P, S, S] where the things to mean are masks [m, S, S] that may overlap."""
    meant = things[:, clicks[:, 1], clicks[:, 0]].T
    return torch.where(meant, mask_iou(masks[:, None], things[None]), 0).amax(dim=1)

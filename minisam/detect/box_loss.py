"""The training of the detector: the target box of each cell, then focal loss for scores and GIoU for boxes.

    middle of a box   the cells whose centre lies in the box and at most one and a half cells from its centre,
                      left or right, up or down; with several boxes, a cell takes the smallest
    loss              Σ over cells focal / positives  +  mean over positives (1 − GIoU)

The middle is FCOS's centre sampling.  A box that is too small to contain the centre of a cell takes the nearest cell.

B images   n boxes   C cells
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.detect.box_head import BoxPredictions
from minisam.detect.boxes import generalised_iou
from minisam.train.losses import focal_loss

REACH = 1.5
"""In cells."""


def assign_boxes(boxes: Tensor, centres: Tensor, cell: float) -> Tensor:
    """For boxes [n, 4] and cell centres [C, 2], all in pixels: the number of each cell's box, [C], -1 for none."""
    if not len(boxes):
        return torch.full((len(centres),), -1, dtype=torch.int64)
    corner, far_corner, x = boxes[:, None, :2], boxes[:, None, 2:], centres[None]
    inside = ((x > corner) & (x < far_corner)).all(dim=2)
    from_centre = (x - (corner + far_corner) / 2).abs().amax(dim=2)
    middle = inside & (from_centre <= REACH * cell)
    nearest = from_centre.argmin(dim=1)
    too_small = ~middle.any(dim=1)
    middle[too_small, nearest[too_small]] = True

    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    area_if_middle = torch.where(middle, area[:, None], torch.inf)
    smallest, number = area_if_middle.min(dim=0)
    return torch.where(smallest.isfinite(), number, -1)


def detection_loss(
    predicted: BoxPredictions, boxes: list[Tensor], assigned: Tensor, positives: Tensor | None = None
) -> Tensor:
    """For boxes of each image, B times [n, 4], and each cell's number among them, assigned [B, C], -1 for none.

    `positives`: how many cells have a box, where these are only a part of a batch and the batch's part is wanted.
    """
    has_box = assigned >= 0
    positives = (has_box.sum() if positives is None else positives).clamp(min=1)
    cells = assigned.shape[1]
    focal = focal_loss(predicted.scores[..., None, :], has_box[..., None, :].float()).sum() * cells
    overlap = predicted.scores.new_zeros(())
    for image, own in enumerate(boxes):
        found = has_box[image]
        if found.any():
            wanted = own[assigned[image][found]]
            overlap = overlap + (1 - generalised_iou(predicted.boxes[image][found], wanted)).sum()
    return (focal + overlap) / positives

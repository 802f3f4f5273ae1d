"""The detector's loss: focal for the scores of all cells, generalised IoU for the boxes of those that have one.

    loss  = Σ over cells focal / positives  +  mean over positives (1 − GIoU)
    GIoU  = IoU − (hull − union) / hull        hull: the smallest box around both (Rezatofighi et al. 2019)

The IoU of boxes that do not touch is 0 wherever they are; the hull tells them which way to go.
"""

from __future__ import annotations

from torch import Tensor

from minisam.engine.box_head import BoxPredictions
from minisam.train.losses import focal_loss


def detection_loss(predicted: BoxPredictions, boxes: list[Tensor], assigned: Tensor) -> Tensor:
    """For boxes of each image, B times [n, 4], and each cell's number among them, assigned [B, C], -1 for none."""
    has_box = assigned >= 0
    positives = has_box.sum().clamp(min=1)
    cells = assigned.shape[1]
    focal = focal_loss(predicted.scores[..., None, :], has_box[..., None, :].float()).sum() * cells
    overlap = predicted.scores.new_zeros(())
    for image, own in enumerate(boxes):
        found = has_box[image]
        if found.any():
            wanted = own[assigned[image][found]]
            overlap = overlap + (1 - generalised_iou(predicted.boxes[image][found], wanted)).sum()
    return (focal + overlap) / positives


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Boxes [..., 4] (x0, y0, x1, y1) with areas above 0 -> [...], −1 … 1."""
    (a0, a1), (b0, b1) = ((box[..., :2], box[..., 2:]) for box in (first, second))
    overlap = (a1.minimum(b1) - a0.maximum(b0)).clamp(min=0).prod(dim=-1)
    union = (a1 - a0).prod(dim=-1) + (b1 - b0).prod(dim=-1) - overlap
    hull = (a1.maximum(b1) - a0.minimum(b0)).prod(dim=-1)
    return overlap / union - (hull - union) / hull

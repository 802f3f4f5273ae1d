"""From what the cells say to a few boxes: those with a score, inside the image, without duplicates."""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.engine.box_head import BoxPredictions
from minisam.predict.nms import box_nms


def decode_boxes(
    predicted: BoxPredictions, image: int, image_size: int, min_score: float, nms_threshold: float, most: int
) -> tuple[Tensor, Tensor]:
    """The boxes [n, 4] of one image of the batch and their scores [n], 0 … 1, best first, n <= `most`."""
    scores = predicted.scores[image].detach().sigmoid()
    kept = (scores > min_score).nonzero()[:, 0]
    boxes = predicted.boxes[image].detach()[kept].clamp(0, image_size)
    order = torch.from_numpy(box_nms(boxes.numpy(), scores[kept].numpy(), nms_threshold)[:most].copy())
    return boxes[order], scores[kept][order]

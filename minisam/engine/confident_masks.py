"""The masks that an annotator of stage two starts with: the detector's boxes, turned into masks by the model.

    box -> three masks -> the one with the highest predicted IoU -> kept if that is high enough
        -> of masks whose boxes overlap much, the one with the highest
    the annotator checks each mask: kept if its IoU with an object is high enough, else discarded

The annotator need not click on the objects of kept masks, and adds the other objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minisam.detect.boxes import boxes_of
from minisam.detect.detector import ObjectDetector
from minisam.engine.costs import Costs
from minisam.engine.work import GIVEN, CollectedMask, Work
from minisam.evaluate.clicks import full_size_masks
from minisam.masks.iou import mask_iou
from minisam.masks.nms import box_nms
from minisam.predict.prompted import Prompted


@dataclass(frozen=True)
class Confidence:
    """Masks with at least `predicted_iou` are shown; the annotator keeps those with a true IoU of at least `right`."""

    predicted_iou: float = 0.7
    nms_threshold: float = 0.8
    right: float = 0.75


def confident_masks(
    prompted: Prompted, detector: ObjectDetector, confidence: Confidence
) -> tuple[Tensor, Tensor]:
    """Masks [n, S, S] bool for the one image that `prompted` holds, and predicted IoU [n], highest first."""
    size = detector.head.image_size
    boxes, _ = detector.detect(prompted.embeddings)
    nothing = torch.zeros(0, size, size, dtype=torch.bool), torch.zeros(0)
    if not len(boxes):
        return nothing
    ready = replace(prompted, image_index=torch.zeros(len(boxes), dtype=torch.int64))
    logits, predicted = ready.predict(boxes=boxes - boxes.new_tensor([0, 0, 1, 1]))
    predicted, shown = predicted.max(dim=1)
    masks = full_size_masks(logits, size)[torch.arange(len(shown)), shown]
    sure = (predicted >= confidence.predicted_iou) & masks.flatten(1).any(dim=1)
    if not sure.any():
        return nothing
    masks, predicted = masks[sure], predicted[sure]
    kept = box_nms(boxes_of(masks).numpy(), predicted.numpy(), confidence.nms_threshold).copy()
    return masks[kept], predicted[kept]


def look_through(
    masks: Tensor, predicted_iou: Tensor, objects: Tensor, costs: Costs, right: float
) -> tuple[Work, Tensor]:
    """Judge given masks [n, S, S]; returns the work, and which of objects [m, S, S] are done, [m] bool.

    Each object has one mask: a second mask of it is discarded.
    """
    done = torch.zeros(len(objects), dtype=torch.bool)
    work = Work()
    for mask, predicted in zip(masks, predicted_iou.tolist(), strict=True):
        iou = torch.where(done, 0.0, mask_iou(mask[None], objects)) if len(objects) else torch.zeros(1)
        best = int(iou.argmax())
        if iou[best] <= right:
            work += Work(seconds=costs.look, rejected=1)
            continue
        done[best] = True
        given = CollectedMask(mask, GIVEN, 0, costs.look, iou[best].item(), predicted)
        work += Work([given], seconds=costs.look)
    return work, done

"""Which masks of some clicks are kept: high predicted IoU, stable, not cut off by their crop, not the whole image.

    predicted IoU > 0.88  ->  stability >= 0.95  ->  box not at an inner edge of the crop  ->  area < 95 % (paper)

Cheap tests come first: masks rejected by predicted IoU are never upscaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.masks.runs import area, box
from minisam.predict.everything.candidates import Candidates
from minisam.predict.everything.crops import CropBox, near_crop_edge
from minisam.predict.everything.kernel_masks import mask_kernels, stable_masks_by_kernels
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.everything.upscaled_parts import stable_masks_by_parts


@dataclass(frozen=True)
class MaskFilters:
    """The thresholds; 0 for IoU or stability, and None for `max_area_fraction`, let all masks pass."""

    pred_iou_thresh: float
    stability_score_thresh: float
    max_area_fraction: float | None = None

    def apply(
        self,
        masks: LowResolutionMasks,
        iou_predictions: Tensor,
        points: NDArray[np.float64],
        crop: CropBox,
        size: tuple[int, int],
    ) -> Candidates:
        """The masks of P clicks on a crop of the image of `size` (H, W) that pass, in the order of clicks.

        iou_predictions [P, C]; points [P, 2] in pixels of the crop.
        """
        iou = iou_predictions.detach().float().cpu()
        confident = torch.ones_like(iou, dtype=torch.bool)
        if self.pred_iou_thresh > 0:
            confident = iou > self.pred_iou_thresh
        find = stable_masks_by_kernels if mask_kernels(masks) else stable_masks_by_parts
        found = find(masks, confident, self.stability_score_thresh, crop[:2], size[0])
        borders = [mask.borders for mask in found]
        places = [(mask.prompt, mask.channel) for mask in found]
        prompts, channels = np.array(places, np.int64).reshape(-1, 2).T
        nowhere = (crop[0], crop[1], crop[0], crop[1])
        boxes = [box(mask, size[0]) if len(mask) else nowhere for mask in borders]
        candidates = Candidates(
            borders=borders,
            boxes=np.array(boxes, np.int64).reshape(-1, 4),
            crop_boxes=np.tile(np.array(crop, np.int64), (len(found), 1)),
            iou_predictions=iou.numpy()[prompts, channels],
            stability_scores=np.array([mask.stability_score for mask in found], np.float32),
            points=points[prompts] + crop[:2],
        )
        passes = ~near_crop_edge(candidates.boxes, crop, size)
        if self.max_area_fraction is not None:
            largest = self.max_area_fraction * size[0] * size[1]
            passes &= np.array([area(mask) < largest for mask in borders], bool)
        return candidates.take(np.flatnonzero(passes))

"""SAM as an edge detector, a task for which it was never trained (SAM section 7.2).

    16 × 16 clicks -> 3 masks each, none filtered -> non-maximum suppression -> edge map (edge_map.py)

The masks are computed at the image's size for a few clicks at a time; those that are kept are computed again, one by
one, from their low-resolution logits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.evaluate.edge_map import edge_map
from minisam.masks.boxes import tight_boxes
from minisam.masks.nms import box_nms
from minisam.predict.everything.point_grids import build_point_grid
from minisam.predict.predictor import SamPredictor


@torch.inference_mode()
def detect_edges(
    predictor: SamPredictor,
    image: NDArray[np.uint8],
    points_per_side: int = 16,
    box_nms_thresh: float = 0.7,
    points_per_batch: int = 16,
) -> NDArray[np.float32]:
    """Edge strengths [H, W] in 0 … 1 of an image [H, W, 3] uint8 RGB; 0 where no mask was found."""
    predictor.set_image(image)
    masks = distinct_masks(predictor, points_per_side, box_nms_thresh, points_per_batch)
    return edges_of_masks(predictor, masks)


def distinct_masks(
    predictor: SamPredictor,
    points_per_side: int = 16,
    box_nms_thresh: float = 0.7,
    points_per_batch: int = 16,
) -> Tensor:
    """The masks of a grid of clicks on the current image, after suppression: logits [M, h, w]."""
    size, input_size = predictor.original_size, predictor.input_size
    clicks = build_point_grid(points_per_side) * (size[1], size[0])
    coords = torch.from_numpy(predictor.transform.apply_coords(clicks, size)).float().to(predictor.device)
    logits, boxes, scores = [], [], []
    for batch in coords[:, None].split(points_per_batch):
        labels = torch.ones(batch.shape[:2], dtype=torch.int, device=batch.device)
        low_res, predicted_iou = predictor.predict_low_res_torch(batch, labels)
        full_size = predictor.model.postprocess_masks(low_res, input_size, size).flatten(0, 1)
        masks = full_size > predictor.model.mask_threshold
        there = masks.flatten(1).any(dim=1)
        boxes.append(tight_boxes(masks[there]).cpu())
        scores.append(predicted_iou.float().flatten()[there].cpu())
        logits.append(low_res.flatten(0, 1)[there])
    kept = box_nms(torch.cat(boxes).numpy(), torch.cat(scores).numpy(), box_nms_thresh)
    return torch.cat(logits)[torch.from_numpy(kept).to(predictor.device)]


@torch.inference_mode()
def edges_of_masks(predictor: SamPredictor, low_res: Tensor) -> NDArray[np.float32]:
    """The edge map [H, W] of masks [M, h, w], logits, on the current image; 0 without masks."""
    size = predictor.original_size
    full_size = (
        predictor.model.postprocess_masks(one[None, None], predictor.input_size, size)[0, 0]
        for one in low_res
    )
    if not len(low_res):
        return np.zeros(size, np.float32)
    return edge_map(full_size, predictor.model.mask_threshold).cpu().numpy()

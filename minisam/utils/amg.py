"""segment-anything's `utils.amg`: the steps of the automatic mask generator on tensors."""

from minisam.compatibility.mask_boxes import (
    batched_mask_to_box,
    box_xyxy_to_xywh,
    generate_crop_boxes,
    is_box_near_crop_edge,
    uncrop_boxes_xyxy,
    uncrop_masks,
    uncrop_points,
)
from minisam.compatibility.mask_regions import remove_small_regions
from minisam.compatibility.mask_rle import area_from_rle, coco_encode_rle, mask_to_rle_pytorch, rle_to_mask
from minisam.masks.stability_score import calculate_stability_score
from minisam.predict.everything.mask_data import MaskData, batch_iterator
from minisam.predict.everything.point_grids import build_all_layer_point_grids, build_point_grid

__all__ = [
    "MaskData",
    "area_from_rle",
    "batch_iterator",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]

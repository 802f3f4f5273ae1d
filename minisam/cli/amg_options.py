"""Options of `minisam amg` that are arguments of the generator: type, help."""

OPTIONS = {
    "points_per_side": (int, "clicks per side of the grid (32)"),
    "points_per_batch": (int, "clicks that the decoder processes at once (64)"),
    "pred_iou_thresh": (float, "predicted IoU that a mask must exceed"),
    "stability_score_thresh": (float, "stability that a mask must have"),
    "box_nms_thresh": (float, "IoU of boxes above which the worse mask is removed (0.7)"),
    "crop_n_layers": (int, "layers of crops, 2 x 2, 4 x 4 … (0)"),
    "min_mask_region_area": (int, "holes and islands with fewer pixels are removed (0)"),
}

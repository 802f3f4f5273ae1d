"""Settings of the automatic mask generator: those of the released code, those of the paper for SA-1B, and ours.

                               default          paper (SAM section B)        young
    clicks per side            32               32, on crops 16 and 8        32
    crops                      none             2 x 2 and 4 x 4              none
    holes and islands          kept             dropped below 100 pixels     kept
    masks with only those      kept             dropped                      kept
    masks of 95 % of the image kept             dropped                      dropped
    predicted IoU above        0.88             0.88                         0.5
    stability of at least      0.95             0.95                         0.6

The network that made SA-1B is none of the released ones.  `young` is for the included weights: after hours of
training instead of days they predict low IoUs, and the other presets would discard almost all of their masks.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "crop_n_layers": 2,
        "crop_n_points_downscale_factor": 2,
        "min_mask_region_area": 100,
        "max_area_fraction": 0.95,
        "keep_largest_region": False,
    },
    "young": {"pred_iou_thresh": 0.5, "stability_score_thresh": 0.6, "max_area_fraction": 0.95},
}

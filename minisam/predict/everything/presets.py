"""Ways to run the automatic mask generator: as the released code does, as the paper did for SA-1B, and for our weights.

                               default          paper (SAM section B)        young
    clicks a side              32               32, on crops 16 and 8        32
    crops                      none             2 x 2 and 4 x 4              none
    holes and islands          stay             go below 100 pixels          stay
    masks with nothing larger  stay             go                           stay
    masks of 95 % of the image stay             go                           go
    predicted IoU above        0.88             0.88                         0.5
    stability of at least      0.95             0.95                         0.6

The network that made SA-1B was another one than any that was released.  `young` is for the weights that ship:
after hours of training instead of days they promise little of their masks, and the other presets would leave next to
none.
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

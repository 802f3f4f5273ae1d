"""Two ways to run the automatic mask generator: as the released code does, and as the paper did for SA-1B.

                               released code    paper (SAM section B)
    clicks a side              32               32, on crops 16 and 8
    crops                      none             2 x 2 and 4 x 4
    holes and islands          stay             go below 100 pixels, and a mask with nothing larger goes whole
    masks of 95 % of the image stay             go

Thresholds are the same in both.  The network that made SA-1B was another one than any that was released.
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
}

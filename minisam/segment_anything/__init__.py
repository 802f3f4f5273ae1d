"""A replacement for the package segment_anything, made of minisam's parts: same submodules, names and results.

    import minisam.segment_anything as segment_anything

or, before code that imports segment_anything itself:

    sys.modules["segment_anything"] = minisam.segment_anything

Nothing is defined here.  docs/compatibility.md lists the differences from the original, and the reasons.
"""

import sys

from minisam.compatibility.package_names import FunctionsStay
from minisam.segment_anything import automatic_mask_generator, modeling, predictor, utils
from minisam.segment_anything.automatic_mask_generator import SamAutomaticMaskGenerator
from minisam.segment_anything.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    sam_model_registry,
)
from minisam.segment_anything.predictor import SamPredictor

__all__ = [
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "automatic_mask_generator",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "modeling",
    "predictor",
    "sam_model_registry",
    "utils",
]

sys.modules[__name__].__class__ = FunctionsStay

"""The package segment_anything, made of minisam's parts: its submodules, its names, its results.

    import minisam.segment_anything as segment_anything

or, for code that imports segment_anything itself, before it does so:

    sys.modules["segment_anything"] = minisam.segment_anything

Nothing is defined here.  What differs from the original, and why, is in docs/compatibility.md.
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

"""From prompts to masks."""

from minisam.predict.everything.automatic_mask_generator import SamAutomaticMaskGenerator
from minisam.predict.everything.partition import to_partition
from minisam.predict.everything.presets import PRESETS
from minisam.predict.predictor import SamPredictor
from minisam.predict.resize_longest_side import ResizeLongestSide

__all__ = ["PRESETS", "ResizeLongestSide", "SamAutomaticMaskGenerator", "SamPredictor", "to_partition"]

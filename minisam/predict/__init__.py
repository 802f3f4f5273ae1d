"""From prompts to masks."""

from minisam.predict.predictor import SamPredictor
from minisam.predict.resize_longest_side import ResizeLongestSide

__all__ = ["ResizeLongestSide", "SamPredictor"]

"""segment-anything's `predictor`."""

from minisam.model import Sam
from minisam.predict.predictor import SamPredictor
from minisam.utils.transforms import ResizeLongestSide

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamPredictor",
]

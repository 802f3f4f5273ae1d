"""segment-anything's `utils.transforms`."""

from minisam.predict.resize_longest_side import ResizeLongestSide

__all__ = ["ResizeLongestSide"]

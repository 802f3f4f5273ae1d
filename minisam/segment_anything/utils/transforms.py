"""segment-anything's `utils.transforms`."""

from minisam.utils.transforms import ResizeLongestSide

__all__ = [
    "ResizeLongestSide",
]

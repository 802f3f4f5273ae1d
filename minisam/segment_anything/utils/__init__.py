"""segment-anything's `utils`."""

from minisam.segment_anything.utils import amg, transforms

__all__ = ["amg", "transforms"]

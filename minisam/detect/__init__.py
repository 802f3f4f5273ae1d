"""Boxes: their geometry, proposals, RoIAlign, matching, a detector of two stages, and that of the data engine."""

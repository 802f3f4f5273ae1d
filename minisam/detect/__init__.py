"""Boxes: their geometry, the head that predicts them, its loss, and the detector of the data engine."""

"""Limits on sizes."""

MAX_PIXELS = 80_000_000
"""Pixels of an image or a mask; less than the 89 million at which Pillow warns, and 240 MB as RGB."""

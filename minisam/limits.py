"""How large things may be."""

MAX_PIXELS = 80_000_000
"""Of an image or a mask; below the 89 million at which Pillow starts to warn, and 240 MB as RGB."""

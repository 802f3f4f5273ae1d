"""Measuring speed and memory, side by side with segment-anything's own code where it is installed."""

"""Measuring speed and memory, side by side with segment-anything's code if it is installed."""

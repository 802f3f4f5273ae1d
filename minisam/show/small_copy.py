"""Images, masks and prompts at the size that a figure can show: a large photo would take gigabytes and minutes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST = 1600
"""Pixels of the longest side; a panel is at most 7 inches, thus 770 pixels."""


def factor_of(size: tuple[int, ...]) -> float:
    """What the coordinates on an image of (H, W) are multiplied by; 1 unless it is too large."""
    return min(1.0, LARGEST / max(size[:2]))


def small_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[H, W, 3], at most `LARGEST` pixels per side."""
    return image if factor_of(image.shape) == 1 else resized(image, Image.Resampling.BOX)


def small_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same for a mask [H, W]."""
    if factor_of(mask.shape) == 1:
        return mask
    return resized(np.asarray(mask, bool).view(np.uint8), Image.Resampling.NEAREST).astype(bool)


def resized(pixels: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
    height, width = (max(1, round(side * factor_of(pixels.shape))) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))

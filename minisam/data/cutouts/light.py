"""Making pasted objects fit in: colours moved towards the background's, changed light, a cast shadow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from minisam.data.cutouts.paste import Sprite

SHADOW_SHARE = 0.5
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def relight(random: np.random.Generator, sprite: Sprite, under: NDArray[np.float32]) -> Sprite:
    """The sprite with its mean colour moved partly towards that of `under` [h, w, 3], and its light changed.

    colour <- gain · (luma + saturation · (colour − luma)) + alpha · shift, one matrix [4, 4] for every pixel.
    """
    pixels = sprite.pixels.reshape(-1, 4)
    *own, weight = np.ones(len(pixels), np.float32) @ pixels
    if weight < 255:
        return sprite
    own, around = 255 * np.array(own) / weight, under[::4, ::4].mean(axis=(0, 1))
    towards = random.uniform(0, 0.45) * random.random()
    gain = np.exp(random.normal(0, 0.18)) * np.exp(random.normal(0, 0.05, size=3))
    saturation = np.clip(random.normal(0.95, 0.25), 0, 1.5)
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = (saturation * np.eye(3) + (1 - saturation) * LUMA[:, None]) * gain
    matrix[3, :3] = towards * (around - own) / 255
    lit = (pixels @ matrix).reshape(sprite.pixels.shape)
    np.clip(lit[:, :, :3], 0, lit[:, :, 3:], out=lit[:, :, :3])
    return sprite._replace(pixels=lit)


def cast_shadow(random: np.random.Generator, image: NDArray[np.float32], sprite: Sprite) -> None:
    """Darken image [S, S, 3] in place under the sprite's shadow, a shifted and blurred copy of its alpha."""
    height, width = sprite.pixels.shape[:2]
    reduction = max(1, max(height, width) // 48)
    small = Image.fromarray(sprite.pixels[::reduction, ::reduction, 3].astype(np.uint8))
    margin = max(2, max(small.size) // 5)
    padded = Image.new("L", (small.width + 2 * margin, small.height + 2 * margin))
    padded.paste(small, (margin, margin))
    blurred = padded.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 0.45 * margin)))
    shadow = blurred.resize(
        (blurred.width * reduction, blurred.height * reduction), Image.Resampling.BILINEAR
    )

    reach = 0.15 * max(height, width)
    top = sprite.top - margin * reduction + round(random.uniform(0, reach))
    left = sprite.left - margin * reduction + round(random.uniform(-reach, reach))
    size = image.shape[0]
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(size, top + shadow.height), min(size, left + shadow.width)
    if y1 <= y0 or x1 <= x0:
        return
    part = np.asarray(shadow)[y0 - top : y1 - top, x0 - left : x1 - left, None]
    image[y0:y1, x0:x1] *= 1 - np.float32(random.uniform(0.2, 0.7) / 255) * part

"""One cut-out, rotated and scaled, and pasted over the image: colours and the exact visible mask.

    image <- image · (1 − alpha) + colour · alpha          mask = alpha > 1/2

Colours are premultiplied by alpha throughout; scaling and blurring then never mix in colours from outside.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minisam.data.cutouts.folder import Pyramid, level_for
from minisam.data.cutouts.placement import LARGEST_ENLARGEMENT, Placement


class Sprite(NamedTuple):
    """A cut-out at its place in the image, cropped to the part inside.

    pixels [h, w, 4] float32, 0 … 255: red, green and blue premultiplied by alpha, and alpha; (top, left) is the
    position of its first pixel in the image.
    """

    pixels: NDArray[np.float32]
    top: int
    left: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.pixels.shape[0])

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.pixels.shape[1])


def warp(levels: Pyramid, place: Placement, image_size: int) -> Sprite | None:
    """The cut-out at `place` on an image of `image_size` pixels per side; None if it lies outside."""
    side = min(place.side * image_size, LARGEST_ENLARGEMENT * max(levels[0].size))
    level = level_for(levels, side)
    width, height = level.size
    scale = side / max(level.size)
    across = scale * math.sqrt(place.stretch) * (-1 if place.mirrored else 1)
    down = scale / math.sqrt(place.stretch)
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    forward = np.array([[cos * across, -sin * down], [sin * across, cos * down]])

    x, y = place.centre[0] * image_size, place.centre[1] * image_size
    reach_x, reach_y = np.abs(forward) @ (width / 2, height / 2)
    left, right = max(0, math.floor(x - reach_x)), min(image_size, math.ceil(x + reach_x))
    top, bottom = max(0, math.floor(y - reach_y)), min(image_size, math.ceil(y + reach_y))
    if right <= left or bottom <= top:
        return None

    back = np.linalg.inv(forward)
    offset = (width / 2, height / 2) - back @ (x - left, y - top)
    coefficients = (*back[0], offset[0], *back[1], offset[1])
    warped = level.transform(
        (right - left, bottom - top), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return Sprite(np.asarray(warped, dtype=np.float32), top, left)


def lay_over(image: NDArray[np.float32], sprite: Sprite) -> NDArray[np.bool_]:
    """Compose `sprite` onto image [S, S, 3] in place; returns its mask [h, w]."""
    under, alpha = image[sprite.rows, sprite.columns], sprite.pixels[:, :, 3:]
    under *= 1 - alpha * np.float32(1 / 255)
    under += sprite.pixels[:, :, :3]
    return alpha[:, :, 0] > 127.5

"""One simulated camera for the whole scene, which hides the seams of pasted objects: light, blur, noise, JPEG.

A tenth of the images are grey.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from minisam.data.cutouts.light import LUMA

GREY_SHARE = 0.1
BLUR_SHARE = 0.4
NOISE_SHARE = 0.5
JPEG_SHARE = 0.7
NOISE_TILE = 1024


def photograph(random: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """image [S, S, 3] float32, 0 … 255, is overwritten -> uint8, as if taken by one camera."""
    exposure = np.exp(random.normal(0, 0.15)) * np.exp(random.normal(0, 0.04, size=3))
    contrast = np.exp(random.normal(0, 0.12))
    if random.random() < GREY_SHARE:
        image = np.repeat((image @ LUMA)[:, :, None], 3, axis=2)
    image *= (exposure * contrast).astype(np.float32)
    image += np.float32(random.normal(0, 6) + 128 * (1 - contrast))
    if random.random() < NOISE_SHARE:
        add_noise(random, image)
    np.clip(image, 0, 255, out=image)
    photo = Image.fromarray(image.astype(np.uint8))
    if random.random() < BLUR_SHARE:
        photo = photo.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.1) * image.shape[0] / 256))
    if random.random() < JPEG_SHARE:
        photo = compressed(photo, int(random.integers(35, 96)))
    return np.asarray(photo)


def add_noise(random: np.random.Generator, image: NDArray[np.float32]) -> None:
    """Add noise to image [S, S, 3] in place, the same in red and green; standard deviation up to 12 of 255."""
    size, tile = image.shape[0], noise_tile(max(NOISE_TILE, 2 * image.shape[0]))
    strength = np.float32(12 * random.random() ** 2)
    (top, left), (lower, right) = random.integers(len(tile) - size + 1, size=(2, 2))
    image[:, :, :2] += strength * tile[top : top + size, left : left + size, None]
    image[:, :, 2] += strength * tile[lower : lower + size, right : right + size]


@lru_cache(maxsize=2)
def noise_tile(side: int) -> NDArray[np.float32]:
    """[side, side] from N(0, 1), always the same, because new numbers for every image would take time."""
    return np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """The image after JPEG at this quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)

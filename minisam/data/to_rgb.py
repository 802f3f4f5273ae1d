"""The pixels of an image that Pillow has opened, of any kind, as uint8 [H, W, 3] RGB, in strips of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from minisam.data.deep_colour import join_bytes
from minisam.data.eight_bits import FULL, SHOWN, Window, window_of
from minisam.data.tiff_kinds import as_signed, is_signed, white_is_zero

# Pixels converted at a time: the largest image then takes three more bytes per pixel, not thirty.
PIXELS_AT_ONCE = 2**20


def to_rgb(image: Image.Image, behind: tuple[int, int, int], tell: Callable[[str], object]) -> np.ndarray:
    """uint8 [H, W, 3]; `tell` is called with a line if values were scaled by their range."""
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    if image.mode.startswith("I") or image.mode == "F" or is_signed(image):
        values_of = as_signed if is_signed(image) else np.asarray
        window = window_of(values_of(band) for _, band in _bands(image))
        if window != Window(0, FULL):
            tell(SHOWN.format(window))
        transparent = image.info.get("transparency")
        for rows, band in _bands(image):
            grey = window.apply(values_of(band))
            rgb[rows] = (255 - grey if white_is_zero(image) else grey)[:, :, None]
            if transparent is not None:
                rgb[rows][values_of(band) == transparent] = behind
        return rgb
    for rows, band in _bands(image):
        if band.has_transparency_data:
            layer = band.convert("RGBA")
            band = Image.alpha_composite(Image.new("RGBA", layer.size, behind), layer)
        rgb[rows] = np.asarray(band.convert("RGB"))
    return rgb


def scale_deep_colour_(upper: np.ndarray, lower: np.ndarray) -> Window:
    """Replace the upper bytes [H, W, 3] of 16-bit colours by 8-bit values in the window of their range."""
    height, width = upper.shape[:2]
    window = window_of(join_bytes(upper[rows], lower[rows]) for rows in _rows(height, width))
    for rows in _rows(height, width):
        upper[rows] = window.apply(join_bytes(upper[rows], lower[rows]))
    return window


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Strips of rows of an image: their position, and each strip as an image."""
    for rows in _rows(image.height, image.width):
        yield rows, image.crop((0, rows.start, image.width, rows.stop))


def _rows(height: int, width: int) -> Iterator[slice]:
    """Slices with as many rows as may be converted together."""
    step = max(1, PIXELS_AT_ONCE // width)
    return (slice(start, min(start + step, height)) for start in range(0, height, step))

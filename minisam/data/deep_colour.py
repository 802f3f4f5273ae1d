"""All 16 bits of 16-bit colour: Pillow returns only the upper byte, which is almost black for a 12-bit camera.

A value in the file has two bytes.  Decoding it with the opposite byte order gives the lower bytes.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

OTHER_ORDER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", *"RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image that was opened, but not loaded, has 16-bit RGB, or RGBA without transparent pixels.

    The alpha values are decoded for the latter.
    """
    if _with_other_order(image) is None:
        return False
    return image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255)


def unpack_lower_bytes(image: Image.Image) -> None:
    """Make a newly opened image of 16-bit colour load the lower byte of each value."""
    image.tile = _with_other_order(image) or []  # pyright: ignore[reportAttributeAccessIssue]


def join_bytes(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The 16-bit values, from two arrays of the same shape."""
    return np.left_shift(upper, 8, dtype=np.uint16) | lower


def _with_other_order(image: Image.Image) -> list[ImageFile._Tile] | None:
    swapped = []
    for tile in getattr(image, "tile", []):
        mode, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
        other = OTHER_ORDER.get(mode)
        if other is None:
            return None
        swapped.append(tile._replace(args=other if isinstance(tile.args, str) else (other, *rest)))
    return swapped or None

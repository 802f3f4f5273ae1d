"""TIFF files that Pillow reads in another way than they say, and those that it cannot read.

white is 0       PhotometricInterpretation 0: Pillow inverts up to 8 bits, but not 16 bits and fractions
signed bytes     SampleFormat 2: Pillow returns −1 as 255
16-bit planes    without compression: Pillow takes each half of a value for a pixel
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339
WHITE_IS_ZERO, SIGNED = 0, 2
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def white_is_zero(image: Image.Image) -> bool:
    """Whether the values have to be inverted after loading."""
    return tags_of(image).get(PHOTOMETRIC) == WHITE_IS_ZERO


def is_signed(image: Image.Image) -> bool:
    """Whether the values of an image in mode L are int8."""
    return image.mode == "L" and SIGNED in tags_of(image).get(SAMPLE_FORMAT, ())


def as_signed(band: Image.Image) -> NDArray[np.int8]:
    return np.asarray(band).view(np.int8)


def mend_planes(image: Image.Image) -> None:
    """Let a newly opened image with one plane of 16 bits per channel load these values."""
    planes = getattr(image, "tile", [])
    if set(tags_of(image).get(BITS, ())) != {16} or any(
        not isinstance(tile.args, tuple) or tile.args[0] not in tuple("RGBA") for tile in planes
    ):
        return
    order = "L" if image.tag_v2.prefix == b"II" else "B"  # pyright: ignore[reportAttributeAccessIssue]
    image.tile = [  # pyright: ignore[reportAttributeAccessIssue]
        tile._replace(args=(f"{tile.args[0]};16{order}", *tile.args[1:])) for tile in planes
    ]


def tags_of(image: Image.Image):
    """The tags of a TIFF; nothing for another format."""
    return getattr(image, "tag_v2", {})


def why_unreadable(start: bytes | None) -> str:
    """Why Pillow does not know a file that begins with these bytes, and a remedy; "" if it is of another format."""
    if start is None:
        return ""
    if not start:
        return "not an image, but an empty file"
    if start.startswith(TIFF_STARTS):
        return (
            "a TIFF of a kind that cannot be read, such as more than four channels, or float64; save it with "
            "8 or 16 bits, grey or RGB"
        )
    return ""

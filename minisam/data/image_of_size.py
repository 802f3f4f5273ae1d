"""An image for masks of a known size: which orientation it had when the masks were drawn.

A camera stores pixels in the orientation of its sensor, and the EXIF orientation says how to rotate them.  Some
annotation tools apply it, others do not.  If the rotation exchanges height and width, the size of the masks shows
which; otherwise it cannot be known.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minisam.data.images import read_image, say
from minisam.errors import DatasetError

SIDEWAYS = 5
"""EXIF orientations from here on exchange height and width."""


class TellOnce:
    """Prints notes on images' values or orientation, each kind of note once per folder."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    def __call__(self, message: str) -> None:
        kind = "".join(letter for letter in message.rpartition(": ")[2] if letter.isalpha())
        if kind not in self.kinds:
            self.kinds.add(kind)
            say(f"{message}; not repeated for similar images")


def load_image_of_size(path: Path, size: tuple[int, int], tell: Callable[[str], object]) -> NDArray[np.uint8]:
    """An image whose masks have this size (H, W); raises DatasetError if the image has another size.

    The masks are assumed to fit the image as viewers show it or, if only that gives the right size, the pixels as
    stored.  If an EXIF orientation does not change the size, this cannot be checked, and `tell` is called with a
    note.
    """
    image, orientation = read_image(path, tell=tell)
    if orientation >= SIDEWAYS and image.shape[:2] == size[::-1] != size:
        image, _ = read_image(path, tell=tell, upright=False)
    if image.shape[:2] != size:
        raise DatasetError(
            f"{path}: {image.shape[0]}x{image.shape[1]} pixels, but its masks are of {size[0]}x{size[1]}"
        )
    if 1 < orientation < SIDEWAYS or (orientation >= SIDEWAYS and size[0] == size[1]):
        tell(
            f"{path}: EXIF orientation {orientation}: its masks are assumed to fit the image as viewers show it; "
            "if they fit the pixels as stored, remove the orientation from the file"
        )
    return image

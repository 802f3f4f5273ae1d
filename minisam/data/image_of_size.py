"""An image for masks of a known size: which way up it was when they were drawn.

A camera stores pixels as its sensor lies, and an EXIF orientation says how to turn them.  Tools that draw masks turn
them or do not.  Where the turn exchanges height and width, the size of the masks says which; where not, nothing does.
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
    """Says what there is to know of an image's values or orientation, once for all the pictures of a folder."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    def __call__(self, message: str) -> None:
        kind = "".join(letter for letter in message.rpartition(": ")[2] if letter.isalpha())
        if kind not in self.kinds:
            self.kinds.add(kind)
            say(f"{message}; of others like it no word")


def load_image_of_size(path: Path, size: tuple[int, int], tell: Callable[[str], object]) -> NDArray[np.uint8]:
    """An image whose masks have this size (H, W); raises DatasetError where it has another.

    Masks are of the picture as viewers show it, or, where only that gives the size, of the pixels as they are
    stored.  Where an EXIF orientation leaves the size as it is, nobody knows, and `tell` is told.
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
            f"{path}: EXIF orientation {orientation}: its masks are taken to be of the picture as viewers show it; "
            "if they are of the pixels as stored, take the orientation out of the file"
        )
    return image

"""The photos of a session: files that were given, and files that were dropped on the page.

A photo is read again when it is needed. Only its content's place and its size are kept.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minisam.data.images import load_image
from minisam.errors import ImageError, printable
from minisam.predict.resize_longest_side import ResizeLongestSide

LONGEST_SHOWN = 1280
"""Pixels of the longest side on the page; results have the photo's full size."""
LONGEST_PREVIEWED = 512
"""Pixels of the longest side of a mask under the mouse: fewer take less time, and the logits are not finer."""
MOST_DROPPED_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Photo:
    """Sizes are (H, W): of the file, of the photo on the page, of a preview.  Results are written into `folder`."""

    number: int
    name: str
    folder: Path
    content: Path | bytes
    size: tuple[int, int]

    @property
    def shown(self) -> tuple[int, int]:
        return at_most(LONGEST_SHOWN, self.size)

    @property
    def previewed(self) -> tuple[int, int]:
        return at_most(LONGEST_PREVIEWED, self.size)

    @property
    def scale(self) -> tuple[float, float]:
        """The factors of x and y from the photo as shown to the file."""
        return self.size[1] / self.shown[1], self.size[0] / self.shown[0]

    def pixels(self) -> NDArray[np.uint8]:
        """[H, W, 3].  Raises ImageError if the file is no longer there, or another one by now."""
        image = load_image(named(self.content, self.name), tell=lambda line: None)
        if image.shape[:2] != self.size:
            raise ImageError(f"{self.name} has changed since it was opened; start again")
        return image

    def as_shown(self) -> bytes:
        """A JPEG for the page."""
        height, width = self.shown
        image = Image.fromarray(self.pixels()).resize((width, height), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=93, subsampling=0)
        return file.getvalue()

    def describe(self) -> dict[str, object]:
        height, width = self.shown
        return {
            "id": self.number,
            "name": printable(self.name),
            "width": width,
            "height": height,
            "url": f"photos/{self.number}",
        }


def at_most(longest: int, size: tuple[int, int]) -> tuple[int, int]:
    """(H, W), scaled down if a side is longer."""
    return size if max(size) <= longest else ResizeLongestSide.get_preprocess_shape(*size, longest)


class Photos:
    """All photos of a session in their order; a photo's number is its place."""

    def __init__(self) -> None:
        self.all: list[Photo] = []
        self.dropped_bytes = 0
        self.lock = threading.Lock()  # two tabs may add at the same time

    def open(self, path: Path) -> Photo:
        """Raises ImageError if this is not an image."""
        return self._add(path.name, path.absolute().parent, path)

    def drop(self, name: str, content: bytes, folder: Path) -> Photo:
        """A photo from the page, of which only the file's name is known.

        Raises ImageError if it is not an image, or if too many were dropped.
        """
        if self.dropped_bytes + len(content) > MOST_DROPPED_BYTES:
            raise ImageError("too many photos were dropped on this page; start `minisam click` again")
        photo = self._add(plain_file_name(name), folder, content)
        self.dropped_bytes += len(content)
        return photo

    def _add(self, name: str, folder: Path, content: Path | bytes) -> Photo:
        height, width = load_image(named(content, name)).shape[:2]
        with self.lock:
            photo = Photo(len(self.all), name, folder, content, (height, width))
            self.all.append(photo)
        return photo


def named(content: Path | bytes, name: str) -> Path | io.BytesIO:
    """What messages on a dropped photo call by its name."""
    if isinstance(content, Path):
        return content
    file = io.BytesIO(content)
    file.name = name
    return file


def plain_file_name(name: str) -> str:
    """The last part of a name that a browser sends, without separators, control characters and leading dots."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter for letter in last if letter.isprintable() and letter not in '<>:"|?*')
    return shown.strip(" .")[-100:] or "photo"

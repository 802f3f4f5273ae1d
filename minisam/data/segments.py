"""What a folder of images with masks consists of: images by number, with their segments, not yet decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minisam.data.coco import decode_segmentation
from minisam.data.skipped import Skipped
from minisam.errors import MinisamError


@dataclass(frozen=True)
class Segment:
    """One mask of an image, encoded."""

    name: str
    segmentation: Any
    size: tuple[int, int]
    crowd: bool = False
    category: Any = None
    """The category's id in COCO's format."""

    def mask(self) -> NDArray[np.bool_]:
        """[H, W] bool.  Raises DatasetError or RleError if it is damaged."""
        return decode_segmentation(self.segmentation, self.size)


@dataclass(frozen=True)
class Picture:
    """An image [H, W, 3] uint8 and its masks."""

    name: str
    image: NDArray[np.uint8]
    segments: list[Segment]


class SegmentationFolder(Protocol):
    """Images by number; `names` are those of the image or record files."""

    path: Path
    names: Sequence[str]
    skipped: Skipped
    """The files found unusable when the folder was opened."""

    def read(self, index: int) -> Picture:
        """Raises DatasetError, ImageError or RleError if this image is damaged or missing."""
        ...

    def fingerprint(self) -> str:
        """Changes with the records: the names and sizes of SA-1B's, or COCO's file; without the images."""
        ...


def usable_mask(segment: Segment, skipped: Skipped) -> NDArray[np.bool_] | None:
    """The mask [H, W], or None if it is damaged or empty, which is recorded with the reason."""
    try:
        mask = segment.mask()
    except MinisamError as error:
        skipped.add(segment.name, error)
        return None
    if not mask.any():
        skipped.add(segment.name, "an empty mask")
        return None
    return mask


def size_of(file: Path) -> int:
    """Bytes, or -1 if the file does not exist; reading it will raise the error."""
    try:
        return file.stat().st_size
    except OSError:
        return -1


def digest(lines: Iterator[str] | Sequence[str]) -> str:
    joined = hashlib.sha256()
    for line in lines:
        joined.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return joined.hexdigest()

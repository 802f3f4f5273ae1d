"""A folder of images with masks in image files, the form in which most people have their own.

    DIR/images/NAME.jpg    with    DIR/masks/NAME.png, DIR/masks/NAME_*.png or DIR/masks/NAME/*.png
    DIR/NAME.jpg           with    DIR/NAME_mask.png or DIR/NAME_mask_*.png

Black pixels, with value 0, are background.  Every other value is one object: a grey level, the index of a palette,
or a colour.  Value 255 of a palette is the border that some tools draw between objects, and belongs to none. A file
that is nearly all black and white, with grey edges, holds one object: its brighter half.  A JPEG cannot hold several:
it changes values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minisam.data.image_of_size import TellOnce, load_image_of_size
from minisam.data.images import READ_SUFFIXES, load_image
from minisam.data.segments import Picture, Segment, digest, size_of
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, ImageError

MASK_FOLDERS = ("masks", "mask", "labels")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg", ".webp")
BESIDE = "_mask"
VOID = 255
MOST_OBJECTS = 1000
"""A mask file with more values is a photograph."""
AFTER_A_PALETTE = 256
"""The object whose index is 0, if another index is the background."""


@dataclass(frozen=True)
class FileSegment(Segment):
    """The pixels of a mask file that have one value."""

    path: Path = Path()
    value: int = 1

    def mask(self) -> NDArray[np.bool_]:
        values = values_of(self.path)
        if values.shape != self.size:
            raise DatasetError(
                f"{self.path}: {values.shape[0]}x{values.shape[1]} pixels, but its image has "
                f"{self.size[0]}x{self.size[1]}"
            )
        return values == self.value


@dataclass
class MaskFolder:
    """Images by number, with their mask files."""

    path: Path
    images: Sequence[Path]
    masks: Sequence[Sequence[Path]]
    skipped: Skipped = field(default_factory=Skipped)
    tell: TellOnce = field(default_factory=TellOnce)

    def __post_init__(self) -> None:
        self.names: Sequence[str] = [str(image.relative_to(self.path)) for image in self.images]

    def read(self, index: int) -> Picture:
        name, segments, size = self.names[index], [], None
        for path in self.masks[index]:
            try:
                values = values_of(path)
            except (ImageError, DatasetError):  # raised again where this mask is needed
                segments.append(FileSegment(self.name_of(path), None, (0, 0), path=path))
                continue
            size = size or values.shape
            numbers = [int(value) for value in np.unique(values) if value]
            if not numbers:
                segments.append(FileSegment(self.name_of(path), None, values.shape, path=path))
            for value in numbers:
                label = self.name_of(path) + (f"#{value}" if len(numbers) > 1 else "")
                segments.append(FileSegment(label, None, values.shape, path=path, value=value))
        path = self.images[index]
        image = load_image(path) if size is None else load_image_of_size(path, size, self.tell)
        return Picture(name, image, [as_large(segment, image) for segment in segments])

    def name_of(self, mask: Path) -> str:
        return str(mask.relative_to(self.path))

    def fingerprint(self) -> str:
        files = [file for pair in zip(self.images, self.masks, strict=True) for file in (pair[0], *pair[1])]
        return digest(f"{self.name_of(file)} {size_of(file)}" for file in files)


def open_mask_folder(path: Path) -> MaskFolder | None:
    """The images of a folder that have masks; None if there are none in this form.

    Of a.jpg and a.png only the first is used: trained on and held out, they would be one image.
    """
    values_of.cache_clear()  # files may have changed since a folder was opened
    home = next((path / name for name in MASK_FOLDERS if (path / name).is_dir()), None)
    source = path / "images" if (path / "images").is_dir() else path
    images, masks, skipped = [], [], Skipped()
    pictures = [
        image
        for image in sorted(source.iterdir())
        if image.suffix.lower() in READ_SUFFIXES and not image.name.startswith(".") and not is_mask(image)
    ]
    stems = {image.stem for image in pictures}
    named = by_image(home, stems, "", skipped) if home else by_image(source, stems, BESIDE, skipped)
    used: dict[str, str] = {}
    for image in pictures:
        found = named.get(image.stem) or (listing(home / image.stem) if home else [])
        if found and image.stem in used:
            skipped.add(str(image), f"the masks of its name are used for {used[image.stem]}")
        elif found:
            used[image.stem] = image.name
            images.append(image)
            masks.append(found)
        else:
            skipped.add(str(image), "no mask file of its name")
    return MaskFolder(path, images, masks, skipped) if images else None


def is_mask(image: Path) -> bool:
    return image.stem.endswith(BESIDE) or f"{BESIDE}_" in image.stem


def by_image(folder: Path, stems: set[str], ending: str, skipped: Skipped) -> dict[str, list[Path]]:
    """The mask files in `folder` of each image: those named STEM + ending or, if there are none, STEM + ending + _*.

    If there are both, the latter are recorded as left out.

    A file belongs to the longest of `stems` that fits: cat_2.png to the image cat_2, or to cat if there is no cat_2.
    """
    own: dict[str, list[Path]] = {}
    more: dict[str, list[Path]] = {}
    images = {stem + ending: stem for stem in stems}
    for path in listing(folder):
        start = path.stem
        while start and start not in images:
            start = start.rpartition("_")[0]
        if start:
            files = own if start == path.stem else more
            files.setdefault(images[start], []).append(path)
    for stem in sorted(own.keys() & more.keys()):
        for path in more[stem]:
            skipped.add(str(path), f"its image has the mask file {own[stem][0].name}")
    return {**more, **own}


def listing(folder: Path) -> list[Path]:
    """All image files of a folder that can be masks, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.suffix.lower() in MASK_SUFFIXES)
    return sorted(file for file in files if not file.name.startswith("."))


@lru_cache(maxsize=4)
def values_of(path: Path) -> NDArray[np.int64]:
    """The object of every pixel [H, W], 0 = none.

    Raises ImageError if the file cannot be read, DatasetError if it is a photograph rather than masks, a JPEG of
    several objects, or has several pages.
    """
    if not path.is_file():  # reading a pipe may never end
        raise ImageError(f"{path}: cannot be read as a mask (not a file, or a link to nothing)")
    try:
        with Image.open(path) as file:
            values, is_jpeg = as_numbers(file), file.format == "JPEG"
            pages = pages_of_its_size(file)
    # Pillow's readers raise almost any exception for damaged bytes.
    except Exception as error:
        raise ImageError(f"{path}: cannot be read as a mask ({error})") from None
    if pages > 1:
        raise DatasetError(f"{path}: {pages} pages; save each page as a separate mask file")
    found = np.unique(values)
    if is_soft(values, found, fewest=2 if is_jpeg else 8):
        return (values > VOID // 2).astype(np.int64)
    if is_jpeg and len(found) > 2:
        raise DatasetError(f"{path}: a JPEG does not keep the values of several objects; save masks as PNG")
    if len(found) > MOST_OBJECTS:
        raise DatasetError(f"{path}: {len(found)} different values; this is a photograph, not masks")
    return values


def pages_of_its_size(file: Image.Image) -> int:
    """How many pages are as large as the first; a smaller one is a copy of it, as in GeoTIFF's pyramids."""
    size, pages = file.size, 0
    for page in range(getattr(file, "n_frames", 1)):
        file.seek(page)
        pages += file.size == size
    return pages


def as_numbers(file: Image.Image) -> NDArray[np.int64]:
    """One number per pixel: grey level, palette index, or 65536 · red + 256 · green + blue; transparent is 0."""
    if file.mode == "P":
        return of_palette(file)
    if file.mode in ("1", "L", "I", "I;16", "I;16B"):
        return np.asarray(file).astype(np.int64)
    colours = np.asarray(file.convert("RGBA")).astype(np.int64)
    red, green, blue, alpha = np.moveaxis(colours, -1, 0)
    is_grey = (red == green).all() and (green == blue).all()
    return np.where(alpha == 0, 0, red if is_grey else 65536 * red + 256 * green + blue)


def of_palette(file: Image.Image) -> NDArray[np.int64]:
    """Grey levels if the pixels have those, black among them, or else indices.

    Programs that choose a palette themselves may put black, or what cannot be seen, behind another colour.  It is
    the background all the same.
    """
    file.apply_transparency()
    colours = np.zeros((VOID + 1, 4), np.int64)
    listed = np.array(file.getpalette("RGBA"), np.int64).reshape(-1, 4)
    colours[: len(listed)] = listed
    indices = np.asarray(file).astype(np.int64)
    used = colours[np.unique(indices)]
    levels = np.unique(used[:, 0])
    is_grey = (used[:, :3] == used[:, :1]).all() and (used[:, 3] == 255).all()
    if is_grey and levels[0] == 0 and len(levels) == len(used):
        return colours[indices, 0]
    border = indices == VOID
    unseen = (colours[:, :3] == 0).all(axis=1) | (colours[:, 3] == 0)
    numbers = np.arange(VOID + 1)
    if not unseen[0] and unseen[indices[~border]].any():
        numbers[0], numbers[unseen] = AFTER_A_PALETTE, 0
    return np.where(border, 0, numbers[indices])


def is_soft(values: NDArray[np.int64], found: NDArray[np.int64], fewest: int) -> bool:
    """Whether this is one object with grey edges: hardly any pixel is neither nearly black nor nearly white.

    A file of at most `fewest` values has no edges, but objects.
    """
    if len(found) <= fewest or not 239 <= found[-1] <= 255:
        return False
    return bool(((values <= 16) | (values >= 239)).mean() >= 0.95)


def as_large(segment: FileSegment, image: NDArray[np.uint8]) -> FileSegment:
    """The same segment for an image of this size, with which `mask` compares the file's."""
    size = (image.shape[0], image.shape[1])
    return FileSegment(segment.name, None, size, path=segment.path, value=segment.value)

"""A folder of cut-outs and one of backgrounds: which files can be used, and their pixels.

    cut-out      a PNG or WebP file with an alpha channel; some pixels must be more than half opaque
    background   any image file without an alpha channel

Opening reads names and headers. Pixels are decoded when a scene first needs them, and the last `KEPT` of each kind
stay in memory.  Hidden files, files that cannot be decoded, cut-outs without alpha and links to other files are left
out, each with its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image

from minisam.data.cutouts.split import is_held_out
from minisam.data.images import load_image
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, ImageError

CUTOUT_SUFFIXES = (".png", ".webp")
BACKGROUND_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")
CUTOUT_SIDE = 512
"""Longest side of a cut-out in memory, in pixels."""
BACKGROUND_SIDE = 1280
SMALLEST_SIDE = 40
"""A cut-out whose longer side has fewer pixels is left out; so is a background with a shorter side below 64."""
SMALLEST_BACKGROUND = 64
KEPT = 600

Part = Literal["training", "held out", "all"]
Pyramid = tuple[Image.Image, ...]
"""An image and its halves, quarters, … down to `SMALLEST_LEVEL` pixels per side."""
SMALLEST_LEVEL = 16


@dataclass(frozen=True)
class CutoutFolders:
    """The usable names of both folders, sorted, and the files that were left out on opening."""

    cutouts: Path
    backgrounds: Path
    cutout_names: tuple[str, ...]
    background_names: tuple[str, ...]
    skipped: Skipped = field(compare=False)

    def fingerprint(self) -> str:
        """A hash of all names and file sizes: a run that resumes must find the same files."""
        digest = hashlib.sha256()
        for folder, names in (
            (self.cutouts, self.cutout_names),
            (self.backgrounds, self.background_names),
        ):
            for name in names:
                digest.update(
                    f"{name}\0{(folder / name).stat().st_size}\0".encode("utf-8", "surrogateescape")
                )
            digest.update(b"\0")
        return digest.hexdigest()


@lru_cache(maxsize=4)
def open_cutouts(
    cutouts: Path, backgrounds: Path, part: Part = "training", leave_out: tuple[str, ...] = ()
) -> CutoutFolders:
    """List the usable files of the two folders.

    `part` selects the names for training, the sixth that is held out, or all.  `leave_out` lists folders or files
    that are not used at all, by their path below either folder or by a part of that path.

    Raises DatasetError if a folder is missing, or has no usable files.
    """
    skipped = Skipped()
    names = []
    for folder, suffixes, is_cutout in (
        (cutouts, CUTOUT_SUFFIXES, True),
        (backgrounds, BACKGROUND_SUFFIXES, False),
    ):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder; give a folder of image files")
        found = list(usable_names(folder, suffixes, is_cutout, leave_out, skipped))
        chosen = [name for name in found if part == "all" or is_held_out(name) == (part == "held out")]
        if not chosen:
            kind = "PNG or WebP file with an alpha channel" if is_cutout else "image file"
            which = "" if part == "all" or not found else f" in the part {part!r} of its {len(found)} files"
            reasons = f" ({skipped.summary()})" if skipped else ""
            raise DatasetError(f"{folder}: no {kind} that can be used{which}{reasons}")
        names.append(tuple(chosen))
    return CutoutFolders(cutouts, backgrounds, names[0], names[1], skipped)


def usable_names(
    folder: Path, suffixes: tuple[str, ...], is_cutout: bool, leave_out: tuple[str, ...], skipped: Skipped
) -> Iterable[str]:
    """Usable names below `folder`, in order; `skipped` gets the others with their reasons."""
    known: dict[Path, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            continue
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            skipped.add(str(path), "a hidden file")
        elif is_left_out(name, leave_out):
            skipped.add(str(path), "left out by name")
        elif path.suffix.lower() not in suffixes:
            skipped.add(str(path), f"not a {' or '.join(s[1:].upper() for s in suffixes)} file")
        elif reason := unusable(path, is_cutout):
            skipped.add(str(path), reason)
        elif (real := path.resolve()) in known:
            skipped.add(str(path), f"the same file as {known[real]}")
        else:
            known[real] = name
            yield name


def is_left_out(name: str, leave_out: tuple[str, ...]) -> bool:
    """Whether one of `leave_out` is `name`, a folder above it, or a part of its path."""
    return any(f"/{one.strip('/')}/" in f"/{name}/" for one in leave_out)


def unusable(path: Path, is_cutout: bool) -> str:
    """Why a file cannot be used, according to its header; "" if it can."""
    if not path.is_file():  # reading a pipe may never end
        return "cannot be read (not a file, or a link to nothing)"
    try:
        with Image.open(path) as image:
            if is_cutout and not image.has_transparency_data:
                return "no alpha channel"
            if is_cutout and max(image.size) < SMALLEST_SIDE:
                return f"fewer than {SMALLEST_SIDE} pixels per side"
            if not is_cutout and min(image.size) < SMALLEST_BACKGROUND:
                return f"fewer than {SMALLEST_BACKGROUND} pixels per side"
    # Pillow's readers raise almost any exception for damaged bytes.
    except Exception as error:
        return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
    return ""


@lru_cache(maxsize=KEPT)
def load_cutout(path: Path) -> Pyramid:
    """A cut-out with premultiplied alpha (mode RGBa), cropped to its visible part, at most `CUTOUT_SIDE` per side.

    Raises ImageError if it cannot be decoded or if no pixel is more than half opaque.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGBA")
    except Exception as error:
        raise ImageError(f"{path}: cannot be decoded ({error})") from error
    shown = image.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
    if shown is None:
        raise ImageError(f"{path}: no pixel is more than half opaque")
    image = image.crop(shown).convert("RGBa")
    return pyramid(image, CUTOUT_SIDE)


@lru_cache(maxsize=KEPT)
def load_background(path: Path) -> Pyramid:
    """A background, RGB, at most `BACKGROUND_SIDE` per side.  Raises ImageError if it cannot be decoded."""
    return pyramid(Image.fromarray(load_image(path)), BACKGROUND_SIDE)


def pyramid(image: Image.Image, longest: int) -> Pyramid:
    """The image, scaled down to `longest` pixels on its longer side if it is larger, and its halves."""
    scale = longest / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    levels = [image]
    while min(levels[-1].size) >= 2 * SMALLEST_LEVEL:
        levels.append(levels[-1].reduce(2))
    return tuple(levels)


def level_for(levels: Pyramid, side: float) -> Image.Image:
    """The smallest level whose longer side is still at least `side` pixels, or the largest there is."""
    large_enough = [level for level in levels if max(level.size) >= side]
    return large_enough[-1] if large_enough else levels[0]

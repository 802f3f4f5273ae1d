"""A small copy of the two folders, fast to read and to copy: cut-outs as WebP, backgrounds as JPEG.

Names below the folder stay the same, except for the suffix; the held-out sixth therefore stays the same too. Of files
that differ only in their suffix, the first is copied, and the others are left out. So are copies of a file with other
names, which could be in both parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import ImageOps

from minisam.data.cutouts.folder import (
    Pyramid,
    load_background,
    load_cutout,
    open_cutouts,
)
from minisam.errors import ImageError
from minisam.files import sha256_of, write_atomically

QUALITY = 92
MARGIN = 2
"""Transparent pixels around a cut-out: without any, WebP would store a rectangular one without alpha."""
FORMATS = {".webp": "WEBP", ".jpg": "JPEG"}


def prepare_folders(
    cutouts: Path,
    backgrounds: Path,
    target: Path,
    cutout_side: int = 512,
    background_side: int = 1024,
    leave_out: tuple[str, ...] = (),
) -> Iterator[str]:
    """Write target/cutouts and target/backgrounds; yields a line for each file: written, kept or left out.

    Of the files that are left out for one reason, the first ten have a line, and the others one together; each folder
    ends with its number of files. `cutout_side` and `background_side` are the longest sides in pixels.  Existing files
    are kept. Raises DatasetError as `open_cutouts`, OSError if a file cannot be written.
    """
    folders = open_cutouts(cutouts, backgrounds, "all", leave_out)
    yield from folders.skipped.lines()
    to_cutout = partial(copy_smaller, load=load_cutout, side=cutout_side, mode="RGBA")
    yield from copy_all(folders.cutouts, folders.cutout_names, target / "cutouts", ".webp", to_cutout)
    to_background = partial(copy_smaller, load=load_background, side=background_side, mode="RGB")
    yield from copy_all(
        folders.backgrounds, folders.background_names, target / "backgrounds", ".jpg", to_background
    )


def copy_all(
    source: Path, names: Sequence[str], target: Path, suffix: str, copy: Callable[[Path, Path], str]
) -> Iterator[str]:
    """Copy each file once, and no two to one name; yields a line for each, and the number of copies."""
    first, copied = first_of_copies(source, names), dict[Path, str]()
    for name in names:
        path = (target / name).with_suffix(suffix)
        if first[name] != name:
            yield f"left out {source / name}: the same file as {first[name]}"
        elif copied.setdefault(path, name) != name:
            yield f"left out {source / name}: its copy would have the name of {copied[path]}'s"
        else:
            yield copy(source / name, path)
    yield f"{sum(path.exists() for path in copied)} files in {target}"


def first_of_copies(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """For each name, the first of the files with the same bytes."""
    first: dict[str, str] = {}
    return {name: first.setdefault(sha256_of(folder / name), name) for name in names}


def copy_smaller(source: Path, path: Path, load: Callable[[Path], Pyramid], side: int, mode: str) -> str:
    """Write the image in `source` to `path`, at most `side` pixels per side; returns a line on the result."""
    if path.exists():
        return f"kept {path}"
    try:
        image = load(source)[0].convert(mode)
    except (ImageError, OSError) as error:
        return f"left out {source}: {error}"
    image.thumbnail((side, side))
    if mode == "RGBA":
        image = ImageOps.expand(image, MARGIN)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: image.save(file, FORMATS[path.suffix], quality=QUALITY))
    return f"wrote {path}"

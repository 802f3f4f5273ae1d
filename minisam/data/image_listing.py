"""The contents of a folder of images: usable images, unusable ones, and files that only have an image's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from minisam.data.figure_mark import is_own_figure
from minisam.data.images import READ_SUFFIXES
from minisam.data.skipped import Skipped
from minisam.errors import GeneratorError

FIGURE_ENDING, SEGMENT_ENDING, DETECT_ENDING = "_masks.png", "_segment.png", "_detect.png"


@dataclass
class Listing:
    """Every file below a folder is in one of these lists, except our figures, records and hidden files."""

    images: list[Path] = field(default_factory=list)
    bad: Skipped = field(default_factory=Skipped)
    """Names with an image's suffix that are not files (broken links, pipes, folders), and unreadable folders."""
    left_out: Skipped = field(default_factory=Skipped)
    """Images with the name of one of our figures that minisam did not draw."""
    others: int = 0
    """Files with another suffix."""


def image_listing(path: Path) -> Listing:
    """The contents of a folder and its subfolders, with images in a fixed order, or the one file.

    Links to folders are not followed, and hidden folders and files are left out: programs keep small copies of images
    in them, and a Mac's archives have a ._NAME beside each NAME.  Raises GeneratorError if there are no images.
    """
    if not path.is_dir():
        return Listing([path])
    found = Listing()
    for folder, folders, files in os.walk(path, onerror=lambda error: note_folder(found, error)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(folders):
            if is_image_name(name):
                found.bad.add(os.path.join(folder, name), "a folder, not an image")
        for name in files:
            if not name.startswith("."):
                sort_in(found, Path(folder, name))
    found.images.sort(key=lambda file: file.relative_to(path).as_posix())
    if not (found.images or found.bad or found.left_out):
        raise GeneratorError(f"{path}: no image files in this folder ({', '.join(sorted(READ_SUFFIXES))})")
    return found


def note_folder(found: Listing, error: OSError) -> None:
    found.bad.add(os.fspath(error.filename), error.strerror)


def sort_in(found: Listing, file: Path) -> None:
    """Add a name that is not a folder to the right list."""
    if not is_image_name(file.name):
        found.others += file.suffix.lower() != ".json"
    elif not is_regular(file):
        found.bad.add(str(file), "not a file, or a link to nothing")
    elif not file.name.endswith((FIGURE_ENDING, SEGMENT_ENDING, DETECT_ENDING)):
        found.images.append(file)
    elif not is_own_figure(file):
        found.left_out.add(str(file), "has the name of a minisam figure; rename it to include it")


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in READ_SUFFIXES


def is_regular(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False

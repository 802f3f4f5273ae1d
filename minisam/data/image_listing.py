"""What lies in a folder of images: those to work on, those that cannot be, and what has an image's name but is none."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from minisam.data.figure_mark import is_own_figure
from minisam.data.images import READ_SUFFIXES
from minisam.data.skipped import Skipped
from minisam.errors import GeneratorError

FIGURE_ENDING, SEGMENT_ENDING = "_masks.png", "_segment.png"


@dataclass
class Listing:
    """Every file below a folder is in one of these, but for our own figures, records and hidden files."""

    images: list[Path] = field(default_factory=list)
    bad: Skipped = field(default_factory=Skipped)
    """With an image's suffix, but no file: links to nothing, pipes, folders; and folders that cannot be read."""
    left_out: Skipped = field(default_factory=Skipped)
    """Images that are called as our figures are, and were not drawn by us."""
    others: int = 0
    """Files with another suffix."""


def image_listing(path: Path) -> Listing:
    """What is in a folder and its folders, images in a fixed order, or the one file.

    Links to folders are not followed.  Raises GeneratorError where there is nothing to work on.
    """
    if not path.is_dir():
        return Listing([path])
    found = Listing()
    for folder, folders, files in os.walk(path, onerror=lambda error: note_folder(found, error)):
        for name in sorted(folders):
            if is_image_name(name):
                found.bad.add(os.path.join(folder, name), "a folder, not an image")
        for name in files:
            sort_in(found, Path(folder, name))
    found.images.sort(key=lambda file: file.relative_to(path).as_posix())
    if not (found.images or found.bad or found.left_out):
        raise GeneratorError(f"{path}: no image files in this folder ({', '.join(sorted(READ_SUFFIXES))})")
    return found


def note_folder(found: Listing, error: OSError) -> None:
    found.bad.add(os.fspath(error.filename), error.strerror)


def sort_in(found: Listing, file: Path) -> None:
    """Put a name that is no folder where it belongs."""
    if not is_image_name(file.name):
        found.others += not file.name.startswith(".") and file.suffix.lower() != ".json"
    elif not is_regular(file):
        found.bad.add(str(file), "not a file, or a link to nothing")
    elif not file.name.endswith((FIGURE_ENDING, SEGMENT_ENDING)):
        found.images.append(file)
    elif not is_own_figure(file):
        found.left_out.add(
            str(file), "called as a figure of minisam; give it another name to have it worked on"
        )


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in READ_SUFFIXES


def is_regular(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False

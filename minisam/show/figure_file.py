"""Figures as files: the suffix selects the format, and a PNG has a mark of minisam (minisam/data/figure_mark.py)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.data.figure_mark import IMAGE, MARK, image_of_figure, is_own_figure
from minisam.errors import OutputError, printable
from minisam.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = {
    ".png": "png",
    **{".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"},
    **{".pdf": "pdf", ".svg": "svg"},
}


def save_figure(figure: Figure, path: Path, dpi: int = 110, image: str = "") -> None:
    """Write a figure in the format of its suffix, completely or not at all; a PNG keeps the name of its image.

    Raises OutputError for another suffix.
    """
    kind = FIGURE_FORMATS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"{path}: not a figure format; use {', '.join(FIGURE_FORMATS)}")
    from minisam.show.fonts import add_fonts

    add_fonts(figure)
    metadata = {**MARK, **({IMAGE: printable(image)} if image else {})} if kind == "png" else None
    with warnings.catch_warnings():
        # Characters that no font has are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=dpi, metadata=metadata))


def check_replaceable_figure(path: Path, image: str = "") -> None:
    """Raises OutputError if the file exists and was not drawn by minisam, or is the figure of another image."""
    if not os.path.lexists(path):
        return
    if not is_own_figure(path):
        raise OutputError(f"{path} was not drawn by minisam and is not replaced; choose another name with -o")
    other = image_of_figure(path)
    if image and other and other != printable(image):
        raise OutputError(f"{path} is the figure of {other} and is not replaced; choose another name with -o")


def plain(text: str) -> str:
    """A name as text of a figure: without mathematics between dollars, and not hidden by a leading underscore."""
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown

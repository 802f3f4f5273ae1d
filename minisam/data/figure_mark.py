"""A text in a PNG that marks it as drawn by minisam.

With it, a figure, which the next run may replace, can be distinguished from a user's file of the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

MARK = {"Software": "minisam"}
IMAGE = "Title"
"""Whose figure it is: a.png and a.jpg would have one name for theirs."""


def is_own_figure(path: Path) -> bool:
    """Whether a file is a PNG that minisam drew."""
    return texts_of(path).get("Software") == MARK["Software"]


def image_of_figure(path: Path) -> str | None:
    """The name of the image that a figure shows, if the figure has it."""
    return texts_of(path).get(IMAGE)


def texts_of(path: Path) -> dict[str, Any]:
    """What a PNG says about itself; nothing for any other file."""
    if not path.is_file():  # reading a pipe may never end
        return {}
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return {str(key): value for key, value in image.info.items()}
    except Exception:  # with unreadable bytes it is not one of ours
        return {}

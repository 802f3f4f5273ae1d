"""A text in a PNG that marks it as drawn by minisam.

With it, a figure, which the next run may replace, can be distinguished from a user's file of the same name.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

MARK = {"Software": "minisam"}


def is_own_figure(path: Path) -> bool:
    """Whether a file is a PNG that minisam drew."""
    if not path.is_file():  # reading a pipe may never end
        return False
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get("Software") == MARK["Software"]
    except Exception:  # with unreadable bytes it is not one of ours
        return False

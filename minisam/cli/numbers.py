"""Numbers on the command line, refused with a message where they make no sense."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def number_from(lowest: int) -> Callable[[str], int]:
    """For `type=` of an argument: whole numbers that are not below `lowest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"a whole number from {lowest} is wanted, not {text!r}")
        return int(text)

    return number

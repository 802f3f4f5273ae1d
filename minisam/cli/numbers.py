"""Numbers on the command line, refused with a message if they make no sense."""

from __future__ import annotations

import argparse
from collections.abc import Callable

LARGEST_SEED = 2**63 - 1


def seed(text: str) -> int:
    """For `type=` of an argument: a seed that torch accepts."""
    number = number_from(0)(text)
    if number > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"a seed is at most {LARGEST_SEED}, not {text}")
    return number


def number_from(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """For `type=` of an argument: whole numbers of at least `lowest` and at most `highest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {lowest}, not {text!r}")
        if highest is not None and int(text) > highest:
            raise argparse.ArgumentTypeError(f"must be at most {highest}, not {text!r}")
        return int(text)

    return number

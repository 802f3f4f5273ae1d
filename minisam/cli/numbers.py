"""Numbers on the command line, refused with a message where they make no sense."""

from __future__ import annotations

import argparse
from collections.abc import Callable

LARGEST_SEED = 2**63 - 1


def seed(text: str) -> int:
    """For `type=` of an argument: what torch takes as a seed."""
    number = number_from(0)(text)
    if number > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"a seed is {LARGEST_SEED} at most, not {text}")
    return number


def number_from(lowest: int) -> Callable[[str], int]:
    """For `type=` of an argument: whole numbers that are not below `lowest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"a whole number from {lowest} is wanted, not {text!r}")
        return int(text)

    return number

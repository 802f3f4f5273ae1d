"""Numbers on the command line, refused with a message if they make no sense."""

from __future__ import annotations

import argparse
from collections.abc import Callable

LARGEST_SEED = 2**63 - 1
LARGEST_COUNT = 10**9
"""More steps, images or pixels than there are anywhere: a typing error."""
MOST_THREADS = 1024


def seed(text: str) -> int:
    """For `type=` of an argument: a seed that torch accepts."""
    return number_from(0, LARGEST_SEED)(text)


def number_from(lowest: int, highest: int = LARGEST_COUNT) -> Callable[[str], int]:
    """For `type=` of an argument: whole numbers of at least `lowest` and at most `highest`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {lowest}, not {text!r}")
        if int(text) > highest:
            raise argparse.ArgumentTypeError(f"must be at most {highest}, not {text!r}")
        return int(text)

    return number


def share(zero: bool = True, one: bool = True) -> Callable[[str], float]:
    """For `type=` of an argument: numbers from 0 to 1, with the ends where they make sense."""

    def number(text: str) -> float:
        value = number_of(text)
        if not 0 <= value <= 1 or (value == 0 and not zero) or (value == 1 and not one):
            lowest, highest = "at least" if zero else "above", "at most" if one else "below"
            raise argparse.ArgumentTypeError(f"must be {lowest} 0 and {highest} 1, not {text!r}")
        return value

    return number


def positive(text: str) -> float:
    """For `type=` of an argument: a number above 0."""
    value = number_of(text)
    if not 0 < value <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {LARGEST_COUNT}, not {text!r}")
    return value


def number_of(text: str) -> float:
    """What a text says.  Raises ArgumentTypeError for other words than numbers."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None

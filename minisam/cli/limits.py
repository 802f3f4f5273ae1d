"""Options for the process that runs a user's code, and the forwarding of that code's output."""

from __future__ import annotations

import argparse
import sys

from minisam.cli.numbers import positive


def add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=positive,
        default=20.0,
        metavar="S",
        help="stop a call of a function, or the import of the file, after so many seconds of work (default: 20)",
    )
    parser.add_argument(
        "--memory",
        type=positive,
        default=4.0,
        metavar="GB",
        help="the most memory that the code may use (default: 4; on Linux, without a GPU)",
    )


def show_prints(text: str) -> None:
    """Print to standard error: standard output holds only the verdict."""
    if text.strip():
        print(text.rstrip("\n"), file=sys.stderr)

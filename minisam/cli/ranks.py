"""A command as one of several processes that torchrun started: which commands can share their work, and who speaks.

The first process prints and has the progress bars.  Of those that fail, the first to say so does, and the others end
without a word.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stderr

from minisam.errors import MinisamError

SHARED = ("amg", "engine", "eval", "pretrain", "text", "train")


def are_several() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1"


def said_once() -> AbstractContextManager[object]:
    """Inside, what is the same for all processes is said by the first alone: help, and errors of usage."""
    if are_several() and os.environ.get("RANK", "0") != "0":
        return redirect_stderr(io.StringIO())
    return nullcontext()


def run_as_one_of_several(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """What `run(args)` returns.  Raises MinisamError for a command that works in one process."""
    from minisam.distributed import is_first, joined, was_first_to_fail, was_lost

    with joined():
        if not is_first():
            be_quiet()
        try:
            if args.command not in SHARED:
                names = ", ".join(SHARED)
                raise MinisamError(f"`minisam {args.command}` is one process; torchrun is for {names}")
            return run(args)
        except BaseException as error:
            if not was_first_to_fail():
                raise SystemExit(1) from None
            if was_lost(error):
                raise MinisamError(
                    "another process was ended by the system; start the command again"
                ) from None
            raise


def be_quiet() -> None:
    """Print nothing, and let no progress bar think that there is a terminal; errors are still written."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = NoTerminal(sys.stderr.buffer, errors="backslashreplace", line_buffering=True)


class NoTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return False

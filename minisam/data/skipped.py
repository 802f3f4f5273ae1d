"""What of a data set could not be used: counted, named with its reason, and said once, at the end.

A million files never are all whole.  A reader that stops at the first bad one is of no use, and one that is
silent hides that half of the data is gone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from minisam.errors import printable

NAMED = 10
"""How many things a summary names; it counts them all."""


class Skipped(dict[str, str]):
    """Name -> reason; a thing that fails twice counts once, with its first reason."""

    def add(self, name: str, reason: object) -> None:
        """`reason` may be the error that was raised."""
        self.setdefault(name, " ".join(str(reason).split()) or type(reason).__name__)

    def add_all(self, others: Mapping[str, str]) -> None:
        """What another process skipped."""
        for name, reason in others.items():
            self.add(name, reason)

    def summary(self) -> str:
        """One line: how many things were left out, and the first ten with their reasons; "" where none was."""
        if not self:
            return ""
        named = [told(name, reason) for name, reason in list(self.items())[:NAMED]]
        more = f"; and {len(self) - NAMED} more" if len(self) > NAMED else ""
        return f"left out {len(self)}: {'; '.join(named)}{more}"


def told(name: str, reason: str) -> str:
    """`name: reason`, on one line; a reason that begins with the path of the thing names it already."""
    path = reason.partition(": ")[0]
    named = path == name or path.endswith(f"{os.sep}{name}")
    return printable(reason if named else f"{name}: {reason}")

"""The unusable files of a data set: counted, listed with their reasons, and reported once, at the end.

Among a million files some are always damaged.  A reader should not stop at the first one, and should not ignore them
silently either, because half of the data might be missing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping

from minisam.errors import printable

NAMED = 10
"""How many names are listed; all of them are counted."""


class Skipped(dict[str, str]):
    """Name -> reason; a name that fails twice counts once, with its first reason."""

    def add(self, name: str, reason: object) -> None:
        """Add a name; `reason` may be the error that was raised."""
        self.setdefault(name, " ".join(str(reason).split()) or type(reason).__name__)

    def add_all(self, others: Mapping[str, str]) -> None:
        """Add the names that another process skipped."""
        for name, reason in others.items():
            self.add(name, reason)

    def summary(self) -> str:
        """One line: how many names were left out, and the first ten with their reasons; "" if there are none."""
        if not self:
            return ""
        named = [told(name, reason) for name, reason in list(self.items())[:NAMED]]
        more = f"; and {len(self) - NAMED} more" if len(self) > NAMED else ""
        return f"left out {len(self)}: {'; '.join(named)}{more}"

    def lines(self) -> Iterator[str]:
        """Lines: the first ten names that were left out for each reason, and how many more there are."""
        seen = Counter[str]()
        for name, reason in self.items():
            seen[reason] += 1
            if seen[reason] <= NAMED:
                yield f"left out {told(name, reason)}"
        for reason, count in seen.items():
            if count > NAMED:
                yield f"left out {count - NAMED} more: {printable(reason)}"


def told(name: str, reason: str) -> str:
    """`name: reason`, on one line; only the reason if it already begins with the path."""
    path = reason.partition(": ")[0]
    named = path == name or path.endswith(f"{os.sep}{name}")
    return printable(reason if named else f"{name}: {reason}")

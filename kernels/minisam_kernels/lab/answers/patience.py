"""When a process has had enough time: by its own work, because on a busy machine a clock also counts the others'.

    enough  =  clock >= s  and  (work >= s  or  it waits  or  clock >= 10 s)

Work is the processor time of all processes of its session, as Linux tells it; elsewhere the clock decides.  It waits if
its work is less than clock / 50 and no process of its session could run: on a very busy machine, one that could run
may get less than that.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
WAITS = 1 / 50
"""A process that has worked for less than this share of the time may be waiting for something."""
PATIENCE = 10


class Patience:
    """Measures one session of processes from now on; `seconds` is the s of the equation."""

    def __init__(self, session: int, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self._start, self._work = time.monotonic(), session_seconds(session)

    def is_over(self) -> bool:
        """Whether the session has had enough time."""
        clock = time.monotonic() - self._start
        if clock < self._seconds:
            return False
        now = session_seconds(self._session)
        if now is None or self._work is None:
            return True
        work = now - self._work
        waits = work < WAITS * clock and not could_run(self._session)
        return work >= self._seconds or waits or clock >= PATIENCE * self._seconds


def session_seconds(session: int) -> float | None:
    """Processor time of a session's processes and of those that they have waited for; None where /proc has none."""
    ticks = sum(sum(map(int, fields[11:15])) for fields in processes(session))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK") if (PROC / "self" / "stat").exists() else None


def could_run(session: int) -> bool:
    """Whether a process of the session runs, or would if a processor or the disk were free."""
    return any(fields[0] in "RD" for fields in processes(session))


def processes(session: int) -> Iterator[list[str]]:
    """The `stat_fields` of a session's processes."""
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may end while it is looked at
            fields = stat_fields(folder)
            if int(fields[3]) == session:
                yield fields


def stat_fields(folder: Path) -> list[str]:
    """Of the process with that folder in /proc: state, parent, group, session, …  Raises OSError if it has ended."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()

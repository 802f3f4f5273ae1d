"""When a process has had enough time: by its own work, because on a busy machine a clock also counts the others'.

    enough  =  clock >= s  and  (work >= s  or  work < clock / 50, it waits  or  clock >= 10 s)

Work is the processor time of all processes of its session, as Linux tells it; elsewhere the clock decides.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

PROC = Path("/proc")
WAITS = 1 / 50
"""A process that has worked for less than this share of the time waits for something."""
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
        return work >= self._seconds or work < WAITS * clock or clock >= PATIENCE * self._seconds


def session_seconds(session: int) -> float | None:
    """Processor time of a session's processes and of those that they have waited for; None where /proc has none."""
    ticks = 0
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may end while it is looked at
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:  # state, parent, group, session, ..., utime, stime, cutime, cstime
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") if (PROC / "self" / "stat").exists() else None

"""Locks that end with the process that holds them, however it ends: the system keeps them, and no file has to go.

`flock` belongs to an open file, so that a process killed with -9 leaves nothing that stops the next one.  Windows has
no lock of a folder; there a file in it is locked.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from minisam.errors import MinisamError

if sys.platform == "win32":
    import msvcrt

    def lock(descriptor: int) -> bool:
        """Lock an open file; False where another open file holds it."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _open_to_lock(folder: Path) -> int:
        return os.open(folder / ".minisam-run.lock", os.O_RDWR | os.O_CREAT)

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock an open file or folder; False where another open file holds it.

        Raises OSError on file systems that have no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _open_to_lock(folder: Path) -> int:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep a folder, which is there, for this run alone.  Raises MinisamError where another run is at work in it.

    On file systems without locks nothing is kept.
    """
    descriptor = _open_to_lock(folder)
    try:
        try:
            free = lock(descriptor)
        except OSError:
            free = True
        if not free:
            raise MinisamError(
                f"{folder}: another run is at work in this folder; wait for its end, or choose another with -o"
            )
        yield
    finally:
        os.close(descriptor)

"""Locks held by the operating system, which end with their process, however it ends; no lock file has to be removed.

`flock` belongs to an open file: a process that is killed with -9 does not block the next one.  Windows cannot lock a
folder; there, a file in the folder is locked.
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
        """Lock an open file; False if it is locked through another open file."""
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
        """Lock an open file or folder; False if it is locked through another open file.

        Raises OSError on file systems without locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _open_to_lock(folder: Path) -> int:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


@contextlib.contextmanager
def made_and_claimed(folder: Path) -> Iterator[None]:
    """Make a folder and reserve it, as `claimed`.  One that was made for nothing is removed again."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with claimed(folder):
            yield
    finally:
        with contextlib.suppress(OSError):  # from the first that has something in it on
            for one in made:
                one.rmdir()


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Reserve an existing folder for this run.  Raises MinisamError if another run is using it.

    On file systems without locks nothing is reserved.
    """
    descriptor = _open_to_lock(folder)
    try:
        try:
            free = lock(descriptor)
        except OSError:
            free = True
        if not free:
            raise MinisamError(
                f"{folder}: another run is using this folder; wait until it ends, or choose another with -o"
            )
        yield
    finally:
        os.close(descriptor)

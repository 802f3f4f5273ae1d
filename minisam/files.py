"""Writing files atomically: at any moment, the path holds all of the old bytes or all of the new ones.

    temporary file in the same folder -> write -> flush -> fsync -> os.replace -> fsync of the folder

`os.replace` swaps the name in one step, but only within one file system, hence the same folder.  The first fsync puts
the bytes on the disk before the name points to them; the second makes the new name survive a power cut.  A process
that is killed in between leaves a `.minisam-*.tmp` file. No reader uses it, and the next process that writes into the
folder removes it.  A temporary file is locked while its writer lives.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from minisam.errors import OutputError
from minisam.locks import lock

TEMPORARY = re.compile(r"\.minisam-[0-9a-f]{16}\.tmp")


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Replace the file at `path` by what `write(file)` writes, or leave it untouched if anything fails.

    A symbolic link stays a link: the file that it points to is replaced.  The permissions of an existing file are
    kept.

    Raises:
        OutputError: `path` is a folder, a device or a pipe, which cannot be replaced, or a link to itself.
        OSError: the file system refused (full, read-only, no such folder); `filename` is then `path`.
    """
    target = _replaceable(path)
    _clean_once(target.parent)
    temporary, held = None, None
    try:
        file, temporary, held = _open_temporary(target.parent)
        with file:
            if target.exists():
                shutil.copymode(target, temporary)
            _write_or_say_why_not(write, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        with contextlib.suppress(OSError):
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        if held is not None:
            os.close(held)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that have ended; files that are being written stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unless_locked(entry.path)


@lru_cache(maxsize=1024)
def _clean_once(folder: Path) -> None:
    """Whether to look for leftovers now; a folder of a million images must not be listed again for every record."""
    remove_leftovers(folder)


def _remove_unless_locked(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if os.name != "posix" or lock(descriptor):
                os.unlink(path)
        finally:
            os.close(descriptor)


def _open_temporary(folder: Path) -> tuple[BinaryIO, Path, int | None]:
    """A new file, its path, and a descriptor that keeps it locked until it has its name.

    Another process may remove the file between its creation and its lock; then a new one is made.
    """
    while True:
        path = folder / f".minisam-{secrets.token_hex(8)}.tmp"
        file = open(path, "xb")  # noqa: SIM115
        if os.name != "posix":
            return file, path, None
        held = os.dup(file.fileno())
        try:
            if lock(held) and os.fstat(held).st_nlink:
                return file, path, held
        except OSError:  # no locks here, and then no process removes leftovers either
            return file, path, held
        os.close(held)
        file.close()


def _write_or_say_why_not(write: Callable[[BinaryIO], object], file: BinaryIO) -> None:
    """Finds the file system's error behind the errors of libraries that write through C++."""
    watched = _Watched(file)
    try:
        write(cast(BinaryIO, watched))
    except Exception:
        if watched.failure is not None:
            raise watched.failure from None
        raise


class _Watched:
    """A file that remembers why a write failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.failure = file, None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _replaceable(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OutputError(f"{os.fspath(path)} is a symbolic link to itself; remove it or choose another name")
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise OutputError(f"{os.fspath(path)} is {kind}, not a file; choose another name to write to")
    return target


def _sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable; file systems without support for this return EINVAL."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def resolved(path: Path) -> Path:
    """The absolute path without links.  Reading it says what is wrong with a link to itself; `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

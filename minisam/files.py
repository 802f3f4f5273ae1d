"""Writing a file so that its path holds either all of the old bytes or all of the new ones, at any moment.

    temporary file in the same folder -> write -> flush -> fsync -> os.replace -> fsync of the folder

`os.replace` swaps the name in one step, but only within one file system, hence the same folder.  The first
fsync puts the bytes on the disk before the name points at them, the second makes the new name itself survive
a power cut.  A process that is killed in between leaves a `.minisam-*.tmp` behind; no reader looks for that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from minisam.errors import MinisamError


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Replace the file at `path` by what `write(file)` writes, or leave it untouched if anything fails.

    A symbolic link stays a link: the file that it points to is replaced.  The permissions of a file that was
    there are kept.

    Raises:
        MinisamError: `path` is a folder, a device or a pipe, which cannot be replaced, or a link to itself.
        OSError: the file system refused (full, read-only, no such folder); `filename` is then `path`.
    """
    target = _replaceable(path)
    temporary = target.with_name(f".minisam-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _replaceable(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise MinisamError(
            f"{os.fspath(path)} is a symbolic link to itself; remove it or choose another name"
        )
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise MinisamError(f"{os.fspath(path)} is {kind}, not a file; choose another name to write to")
    return target


def _sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable; file systems that have no such thing say EINVAL."""
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

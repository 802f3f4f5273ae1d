"""Checks of a command's output path before the work: it can be written, and is not one of the inputs."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection
from pathlib import Path

from minisam.errors import OutputError


def check_output(
    path: Path, inputs: Collection[Path | None] = (), suffixes: Collection[str] = (), option: str = "-o"
) -> None:
    """Raises OutputError if a file cannot be written, is one of the inputs, or has none of the suffixes."""
    if str(path) == "-":
        raise OutputError(f"{option} - : the result is a file; give it a name")
    check_length(path, option)
    for given in inputs:
        if given is not None and is_same_file(path, given):
            raise OutputError(
                f"{path} is an input and would be overwritten; choose another name with {option}"
            )
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file in it with {option}")
    if (path.exists() and not path.is_file()) or os.path.islink(os.path.realpath(path)):
        raise OutputError(
            f"{path} is a pipe, a device or a link to itself; give the name of a file with {option}"
        )
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        there = nearest_folder(folder)
        raise OutputError(
            f"{path}: there is no folder {folder}; create it first, or choose another with {option}"
            if there.is_dir()
            else f"{path}: {there} is not a folder; choose another with {option}"
        )
    if suffixes and path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: cannot write this format; use a name that ends in {', '.join(suffixes)}")
    check_writable(folder, option)


def check_output_folder(
    folder: Path, inputs: Collection[Path | None] = (), names: Collection[str] = (), option: str = "-o"
) -> None:
    """Raises OutputError if nothing can be written into a folder, or if one of `names` in it is one of the inputs.

    The folder need not exist, and is not made: where an input turns out to be bad, nothing should be left behind.
    """
    check_length(folder, option)
    for name in names:
        if any(given is not None and is_same_file(folder / name, given) for given in inputs):
            raise OutputError(
                f"{folder / name} is an input and would be overwritten; choose another folder with {option}"
            )
    there = nearest_folder(folder)
    if not there.is_dir():
        raise OutputError(f"{folder} cannot be a folder: {there} is not one; choose another with {option}")
    check_writable(there, option)


def make_output_folder(folder: Path) -> None:
    """Create a folder unless it exists.  Raises OutputError if it cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be a folder ({error.strerror}); choose another with -o") from None


def check_length(path: Path, option: str = "-o") -> None:
    """Raises OutputError if a path, or a name in it, is longer than the file system allows: 255 bytes on most."""
    there = nearest_folder(path)
    names = path.absolute().parts[len(there.absolute().parts) :]
    try:
        for one in (
            path,
            *(there / name for name in names),
        ):  # a folder that is not there hides what is below it
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(one)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(f"{path}: its name is too long; choose a shorter one with {option}") from None


def nearest_folder(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists."""
    return next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))


def check_writable(folder: Path, option: str = "-o") -> None:
    """Raises OutputError if this user may not write into a folder."""
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: no permission to write into it; choose another with {option}")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to the same file, which need not exist."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)

"""A user's file must not take its answer from the library that it is compared with.

An import of a closed module returns a `Borrowed` in its place. It can be named, called and changed while the file is
loaded, which lets a page with a figure load, but an answer that uses it stops with an error.  The files with a
lesson's solutions cannot be opened; the library's own source can be opened by its own code alone.  No other program can
be started, because it could read all of that.  The library's own code may import anything.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

PACKAGES = tuple({sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")})
STANDARD = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"], "<frozen ")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile")


def handed_on(name: str) -> Any:
    """The names besides `check` that minisam.lesson.page exports; None for any other name."""
    if name == "plt":
        import matplotlib.pyplot as plt

        plt.switch_backend("Agg")
        return plt
    return {"np": np, "torch": torch}.get(name)


class BorrowedError(Exception):
    """The answer comes from the same code as the expected values."""


class Borrowed(ModuleType):
    """A placeholder for a closed module and for everything in it."""

    loading = True
    touched = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return handed_on(name) or Borrowed(f"{self.__name__}.{name}")

    def __getitem__(self, key: Any) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        Borrowed.touched = self.__name__
        if Borrowed.loading:
            return self
        raise BorrowedError(f"uses {self.__name__}; compute the answer instead of taking it from there")


class BorrowingGuard:
    """Closes the packages in `closed`, except the modules in `opened`, to code outside the folders `roots`."""

    def __init__(
        self, closed: Sequence[str], opened: Sequence[str], roots: Sequence[str], unread: Sequence[str]
    ) -> None:
        self.closed, self.opened, self.roots, self.unread = (
            tuple(closed),
            set(opened),
            tuple(roots),
            set(unread),
        )
        self.unread_names = {os.path.basename(path) for path in unread}

    def install(self) -> None:
        import_statement, import_module = builtins.__import__, importlib.import_module

        def statement(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0):
            items = [f"{name}.{item}" for item in fromlist or ()]
            closed = not level and (self.is_closed(name) or any(map(self.is_closed_alone, items)))
            if closed and not self.is_ours(sys._getframe(1)):
                return Borrowed(name if fromlist else name.partition(".")[0])
            return import_statement(name, globals, locals, fromlist, level)

        def function(name: str, package: str | None = None) -> Any:
            if self.is_closed(name) and not self.is_ours(sys._getframe(1)):
                return Borrowed(name)
            return import_module(name, package)

        builtins.__import__, importlib.import_module = statement, function
        sys.addaudithook(self.refuse_to_open)

    def is_closed(self, name: str) -> bool:
        """Whether a module is in a closed package and not opened."""
        return name not in self.opened and any(
            f"{name}.".startswith(f"{package}.") for package in self.closed
        )

    def is_closed_alone(self, name: str) -> bool:
        """Whether a name from an open package is closed."""
        return name in self.closed

    def is_ours(self, frame: FrameType | None) -> bool:
        """Whether the code that imports is the library's."""
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self.roots)

    def refuse_to_open(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit hook, which cannot be removed."""
        if event in PROGRAMS and self.closed and not self.is_by_a_package(sys._getframe(1)):
            Borrowed.touched = "another program"
            raise BorrowedError("starts another program; compute the answer in the function itself")
        if event != "open" or not isinstance(args[0], (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(args[0])
        answers = os.path.basename(path) in self.unread_names and os.path.realpath(path) in self.unread
        if answers or (self.is_source(path) and self.is_by_a_user(sys._getframe(1))):
            Borrowed.touched = path
            raise BorrowedError(f"reads {path}; compute the answer instead of taking it from there")

    def is_source(self, path: str) -> bool:
        """Whether it is a file of Python in one of the library's folders, if anything is closed."""
        return (
            bool(self.closed)
            and path.endswith((".py", ".pyc"))
            and os.path.realpath(path).startswith(self.roots)
        )

    def is_by_a_user(self, frame: FrameType | None) -> bool:
        """Whether the nearest code that is neither Python's nor an installed package's is not the library's."""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self.roots):
                return False
            if not file.startswith((*PACKAGES, *STANDARD)):
                return True
            frame = frame.f_back
        return False

    def is_by_a_package(self, frame: FrameType | None) -> bool:
        """Whether the nearest code that is not Python's is an installed package's, as Triton's compiler, or ours."""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith((*PACKAGES, *self.roots)):
                return True
            if not file.startswith(STANDARD):
                return False
            frame = frame.f_back
        return True


@contextmanager
def not_calling(names: Sequence[str]) -> Iterator[None]:
    """Within this context, a call of these functions, or of any function of these modules, raises BorrowedError.

    Names are whole, as "minisam.model.sam.Sam.forward"; a module that is not loaded has no functions yet.
    """
    files, functions = {}, {}
    for name in names:
        if name in sys.modules:
            files[sys.modules[name].__file__] = name
        elif function := function_named(name):
            functions[inspect.unwrap(function).__code__] = name

    def look(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if event == "call" and (code in functions or code.co_filename in files):
            name = functions.get(code) or f"{files[code.co_filename]}.{code.co_name}"
            Borrowed.touched = name
            raise BorrowedError(f"uses {name}; compute the answer instead of taking it from there")

    if not names:
        yield
        return
    before, before_in_threads = sys.getprofile(), threading.getprofile()
    sys.setprofile(look)
    threading.setprofile(look)
    try:
        yield
        if sys.getprofile() is not look:
            Borrowed.touched = "sys.setprofile"
            raise BorrowedError("calls sys.setprofile, by which it is watched; leave that out")
    finally:
        sys.setprofile(before)
        threading.setprofile(before_in_threads)  # type: ignore[arg-type]  # None is what it was at first


def function_named(name: str) -> FunctionType | None:
    """The function of that whole name in the modules that are loaded; None if there is none."""
    module, *path = name.split(".")
    while path and f"{module}.{path[0]}" in sys.modules:
        module = f"{module}.{path.pop(0)}"
    found: Any = sys.modules.get(module)
    for part in path:
        found = getattr(found, part, None)
    return found if isinstance(found, FunctionType) else None

"""A placeholder for Triton on a machine without it, so that a file's other functions can be imported and judged.

Kernels may be defined and named; a function that uses one raises AbsentError.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAMES = ("triton", "triton.language")


class AbsentError(Exception):
    """A function uses Triton."""


class Absent(ModuleType):
    """Triton, one of its modules, or anything in it."""

    loading = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __getitem__(self, key: Any) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if Absent.loading:
            return self
        raise AbsentError(f"{self.__name__} needs Triton, which exists for Linux only")


def has_triton() -> bool:
    """Whether Triton can be imported."""
    try:
        return importlib.util.find_spec("triton") is not None
    except (ImportError, ValueError):
        return False


@contextmanager
def stand_in_for_triton() -> Iterator[None]:
    """Inside, `import triton` gives the placeholder.  Afterwards not even torch, which looks for Triton, finds it."""
    for name in NAMES:
        sys.modules[name] = Absent(name)
    try:
        yield
    finally:
        for name in NAMES:
            sys.modules.pop(name, None)

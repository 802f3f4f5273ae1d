"""A placeholder for Triton on a machine without it, so that a file's other functions can be imported and judged.

Kernels may be defined and named; a function that uses one raises AbsentError.
"""

from __future__ import annotations

import importlib.util
import sys
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


def stand_in_for_triton() -> None:
    """From now on, `import triton` gives the placeholder."""
    for name in NAMES:
        sys.modules[name] = Absent(name)

"""minisam as `segment_anything`, for the length of a test, in the way that docs/compatibility.md names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import minisam.segment_anything


@pytest.fixture
def segment_anything() -> Iterator[ModuleType]:
    def taken_out() -> dict[str, ModuleType]:
        names = [name for name in sys.modules if name.split(".")[0] == "segment_anything"]
        return {name: sys.modules.pop(name) for name in names}

    original = taken_out()
    sys.modules["segment_anything"] = minisam.segment_anything
    try:
        yield importlib.import_module("segment_anything")
    finally:
        taken_out()
        sys.modules.update(original)

"""Every name of the original is in the table, and every row of the table is true."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from compatibility import amg_checks
from compatibility.checks import CHECKS
from compatibility.names import ABSENT, NAMES, SAME, Row
from compatibility.surface import ours, same_value, surface, theirs
from scipy import ndimage

ROWS = {row.name: row for row in NAMES}
assert amg_checks.generators


@pytest.fixture(autouse=True)
def opencv(monkeypatch):
    """The one function of OpenCV that the original uses, by scipy: components and their areas."""

    def components(mask: np.ndarray, connectivity: int):
        assert connectivity == 8
        labels, count = ndimage.label(mask, np.ones((3, 3), int))
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        return count + 1, labels, areas[:, None], None

    module = ModuleType("cv2")
    vars(module)["connectedComponentsWithStats"] = components
    monkeypatch.setitem(sys.modules, "cv2", module)


def row_of(name: str) -> Row:
    """The row of a name, or of the nearest name above it."""
    while name not in ROWS:
        name, _, last = name.rpartition(".")
        assert name, f"no row stands for {last}"
    return ROWS[name]


def arguments(function: Any) -> list[tuple[str, Any]]:
    defaults = inspect.signature(function).parameters.values()
    return [(p.name, tuple(p.default) if isinstance(p.default, list) else p.default) for p in defaults]


def test_every_row_is_a_name_of_the_original_and_stands_there_once():
    assert len(ROWS) == len(NAMES)
    assert set(ROWS) <= set(surface())


def test_every_name_has_a_row_and_is_there_unless_the_row_says_otherwise():
    for name, (our, their) in surface().items():
        row = row_of(name)
        if row.state == ABSENT:
            assert our is None and row.note, name
        elif inspect.isclass(their) or inspect.isfunction(their):
            assert callable(our), name
            expected = arguments(their)
            if row.state == SAME:
                assert arguments(our)[: len(expected)] == expected, name
            more = list(inspect.signature(our).parameters.values())[len(expected) :]
            assert all(p.default is not p.empty for p in more), name
        else:
            assert same_value(our, their), name


def test_whatever_differs_says_why():
    assert all(row.note for row in NAMES if row.state != SAME)


def test_every_row_of_a_name_that_is_the_same_has_a_check():
    assert set(CHECKS) <= set(ROWS)
    assert not [row.name for row in NAMES if row.state == SAME and row.name not in CHECKS]


@pytest.mark.parametrize("name", sorted({check.__name__: name for name, check in CHECKS.items()}.values()))
def test_same(name):
    with torch.no_grad():
        pairs = list(CHECKS[name](ours, theirs))
    assert pairs
    for our, their in pairs:
        assert_equal(our, their)


def assert_equal(our: Any, their: Any) -> None:
    """Equal types, shapes, dtypes and values; floating-point ones up to rounding."""
    if isinstance(their, torch.Tensor):
        assert isinstance(our, torch.Tensor) and our.dtype == their.dtype and our.shape == their.shape
        their, our = their.cpu().numpy(), our.cpu().numpy()
    if isinstance(their, np.ndarray):
        assert isinstance(our, np.ndarray) and our.dtype == their.dtype and our.shape == their.shape
        scale = 1e-5 * max(1.0, float(np.nan_to_num(np.abs(their.astype(float)).max(initial=0))))
        np.testing.assert_allclose(our.astype(float), their.astype(float), rtol=1e-4, atol=scale)
    elif isinstance(their, dict):
        assert our.keys() == their.keys()
        for key, value in their.items():
            assert_equal(our[key], value)
    elif isinstance(their, list | tuple):
        assert type(our) is type(their) and len(our) == len(their)
        for our_part, their_part in zip(our, their, strict=True):
            assert_equal(our_part, their_part)
    elif isinstance(their, float):
        assert type(our) is float and our == pytest.approx(their, rel=1e-4, abs=1e-5)
    else:
        assert type(our) is type(their) and our == their

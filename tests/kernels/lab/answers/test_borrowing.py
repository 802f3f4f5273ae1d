"""Closed modules, what stands in their place, and files that are not read."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from minisam_kernels.lab.answers import borrowing
from minisam_kernels.lab.answers.borrowing import Borrowed, BorrowedError, BorrowingGuard


@pytest.fixture
def guard(tmp_path):
    return BorrowingGuard(
        ("minisam", "minisam_kernels.reference"), ("minisam.train.losses",), (f"{tmp_path}/",), ()
    )


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("minisam", True),
        ("minisam.lesson.find", True),
        ("minisam.train", True),
        ("minisam.train.losses", False),
        ("minisamples", False),
        ("minisam_kernels", False),
        ("minisam_kernels.reference", True),
        ("minisam_kernels.reference.softmax", True),
        ("numpy", False),
    ],
)
def test_a_package_is_closed_with_all_that_is_in_it(guard, name, closed):
    assert guard.is_closed(name) == closed


def test_the_librarys_own_code_is_told_by_its_folder(guard, tmp_path):
    frames: dict = {"sys": sys}
    exec(compile("frame = sys._getframe()", f"{tmp_path}/own.py", "exec"), frames)
    assert guard.is_ours(frames["frame"])
    exec(compile("frame = sys._getframe()", f"{tmp_path}-other/own.py", "exec"), frames)
    assert not guard.is_ours(frames["frame"]) and not guard.is_ours(None)


def test_what_is_borrowed_may_be_named_and_changed_but_not_used_in_an_answer(monkeypatch):
    monkeypatch.setattr(Borrowed, "touched", "")
    find = Borrowed("minisam.lesson.find")
    find.lesson.exercises = None
    assert isinstance(find.lesson(2).exercises["softmax"].reference, Borrowed)
    assert Borrowed.touched == "minisam.lesson.find.lesson"
    monkeypatch.setattr(Borrowed, "loading", False)
    with pytest.raises(BorrowedError, match=r"uses minisam\.lesson\.find\.lesson"):
        find.lesson(2)


def test_a_page_hands_numpy_on():
    assert Borrowed("minisam.lesson.page").np is np
    assert borrowing.handed_on("check") is None
    with pytest.raises(AttributeError):
        Borrowed("minisam").__path__  # noqa: B018


def test_a_solution_is_not_opened_by_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr(Borrowed, "touched", "")
    (tmp_path / "solution.py").touch()
    (tmp_path / "folder").mkdir()
    guard = BorrowingGuard((), (), (), (str(tmp_path / "solution.py"),))
    for path in ("solution.py", tmp_path / "folder" / ".." / "solution.py", b"solution.py"):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BorrowedError, match="reads"):
            guard.refuse_to_open("open", (path, "r", 0))
    guard.refuse_to_open("open", (tmp_path / "folder" / "solution.py", "r", 0))
    guard.refuse_to_open("open", (3, "r", 0))
    guard.refuse_to_open("import", ("solution.py",))

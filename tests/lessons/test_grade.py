"""A class's hand-ins: marks, misunderstandings, and files that cannot be marked."""

from __future__ import annotations

import csv
import io
import json

import pytest

from minisam.cli.main import main
from minisam.errors import AnswerError
from minisam.lesson.check import Failure, Report
from minisam.lesson.find import lesson
from minisam.lesson.grade import (
    COLUMNS,
    HandIn,
    as_csv,
    cell,
    hand_ins,
    lesson_of,
    mark_of,
    misunderstandings,
    summary,
)

COLUMNS_FIRST = """
import numpy as np

def softmax(x):
    y = np.exp(x - x.max(axis=0, keepdims=True))
    return y / y.sum(axis=0, keepdims=True)
"""


@pytest.fixture
def folder(tmp_path):
    """A class of five: two files, an executed notebook, a file that is none, and one that is something else."""
    found = tmp_path / "class"
    for name in ("ada", "ben", "cleo", ".hidden"):
        (found / name).mkdir(parents=True)
    (found / "ada" / "lesson_02.py").write_text(lesson(2).solution)
    (found / "ben" / "attention.py").write_text(COLUMNS_FIRST)
    cells = [
        {"cell_type": "code", "source": "%matplotlib inline\n1 / 0", "outputs": [{"output_type": "error"}]},
        {"cell_type": "code", "source": COLUMNS_FIRST, "execution_count": 3, "outputs": []},
    ]
    (found / "cleo" / "my lesson 2.ipynb").write_text(json.dumps({"cells": cells}))
    (found / "dan_lesson_02.py").write_text("def softmax(:\n")
    (found / "notes.py").write_text("x = 1\n")
    (found / ".hidden" / "lesson_02.py").write_text("")
    return found


def a_class() -> list[HandIn]:
    """Of lesson 2, with both exercises right, one wrong and one not written, and a file that is none."""
    chosen = lesson(2)
    mistake = chosen.mistakes["softmax"][0].says
    wrong = Failure("a row", "x", "=0.3 where 0.5 is expected", mistake)
    return [
        HandIn(
            "ada.py", chosen, (Report("softmax", True, ("a", "b"), 2), Report("attention", True, ("c",), 1))
        ),
        HandIn(
            "-ben/x.py",
            chosen,
            (Report("softmax", True, ("a",), 2, wrong), Report("attention", False, (), 1, reason="absent")),
        ),
        HandIn("cleo.py", problem="no exercise in it"),
    ]


def test_the_teacher_reads_every_mark_and_what_was_misunderstood():
    mistake = lesson(2).mistakes["softmax"][0].says
    assert list(summary(a_class())) == [
        "ada.py     lesson  2  2 of 2 right",
        "-ben/x.py  lesson  2  0 of 2 right; softmax wrong, attention not written",
        "",
        "lesson  2  attention: 1 of 2 right",
        "lesson  2  softmax: 1 of 2 right",
        "",
        "what was misunderstood:",
        f"  1 x  lesson 2, softmax: {mistake}",
        "not marked: cleo.py: no exercise in it",
    ]
    assert list(summary(a_class()[:1]))[-1] == "lesson  2  softmax: 1 of 1 right"


def test_a_table_has_every_mark_and_no_formula():
    ada, other, ben, empty, cleo = csv.DictReader(io.StringIO(as_csv(a_class())))
    assert tuple(ada) == COLUMNS
    assert list(ada.values()) == ["ada.py", "2", "softmax", "right", "2", "2", "", "", ""]
    assert list(other.values()) == ["ada.py", "2", "attention", "right", "1", "1", "", "", ""]
    mistake = lesson(2).mistakes["softmax"][0].says
    found = ["a row", "'=0.3 where 0.5 is expected", mistake]
    assert list(ben.values()) == ["'-ben/x.py", "2", "softmax", "wrong", "1", "2", *found]
    assert list(empty.values())[2:] == ["attention", "not written", "0", "1", "", "absent", ""]
    assert list(cleo.values()) == ["cleo.py", "", "", "not marked", "", "", "", "no exercise in it", ""]


@pytest.mark.ci
def test_a_class_is_marked(folder, tmp_path, capsys):
    marks = tmp_path / "marks.csv"
    assert main(["lesson", "grade", str(folder), "--csv", str(marks)]) == 3
    printed = capsys.readouterr().out
    assert "ada/lesson_02.py        lesson  2  3 of 3 right\n" in printed
    assert "ben/attention.py" in printed and "0 of 3 right; softmax wrong, attention not written" in printed
    assert "lesson  2  softmax: 1 of 3 right" in printed
    told = next(line for line in printed.splitlines() if " x  lesson 2, softmax: " in line)
    assert told.startswith("  2 x") and "down the columns" in told
    assert (
        "not marked: dan_lesson_02.py: " in printed and "not marked: notes.py: notes.py: of which" in printed
    )
    rows = list(csv.DictReader(io.StringIO(marks.read_text())))
    found = {(row["hand-in"], row["exercise"]): row["mark"] for row in rows}
    assert found["ada/lesson_02.py", "attention"] == "right"
    assert found["cleo/my lesson 2.ipynb", "softmax"] == "wrong"
    assert found["dan_lesson_02.py", ""] == "not marked" and len(rows) == 11


def test_the_lesson_is_in_the_name_or_in_the_functions(tmp_path):
    for name, text, number in (
        ("lesson_07", "", 7),
        ("Lesson 3 anna", "", 3),
        ("mine", "def run_lengths(x): ...", 13),
        ("windows", "def window_attention(x): ...\ndef window_partition(x): ...", 3),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        assert lesson_of(tmp_path / f"{name}.py").number == number
    (tmp_path / "both.py").write_text("def softmax(x): ...\ndef shrink(x): ...\n")
    with pytest.raises(AnswerError, match="of which lesson"):
        lesson_of(tmp_path / "both.py")


def test_an_empty_folder_and_no_folder_are_told(tmp_path):
    for folder, says in ((tmp_path, "has no .py file"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(AnswerError, match=says):
            hand_ins(folder)


def test_a_kernel_that_was_not_judged_is_neither_right_nor_wrong():
    assert mark_of(Report("f", False, (), 4, judged=False)) == "not judged"
    assert misunderstandings([HandIn("a", lesson(14), (Report("softmax_rows", False, (), 4),))]) == []


def test_what_was_not_judged_is_in_the_summary_and_in_the_table():
    reports = (
        Report("softmax_rows", False, (), 4, reason="kernels need Linux", judged=False),
        Report("add_bias", True, ("a",), 1),
    )
    class_ = [HandIn("ada.py", lesson(14), reports)]
    assert list(summary(class_)) == [
        "ada.py  lesson 14  1 of 2 right; softmax_rows not judged",
        "",
        "lesson 14  add_bias: 1 of 1 right",
        "lesson 14  softmax_rows: 0 of 1 right",
    ]
    assert as_csv(class_).splitlines()[1] == "ada.py,14,softmax_rows,not judged,0,4,,kernels need Linux,"


def test_a_name_is_no_formula_in_a_spreadsheet():
    assert as_csv([HandIn("=1+1.py", problem="-2")]).splitlines()[1] == "'=1+1.py,,,not marked,,,,'-2,"


def test_the_most_frequent_misunderstanding_is_first():
    """Then by lesson, exercise and words."""
    says = {name: [one.says for one in lesson(2).mistakes[name]] for name in ("softmax", "attention")}

    def of(name, exercise, hint):
        return HandIn(name, lesson(2), (Report(exercise, True, (), 4, Failure("case", "x", "0", hint)),))

    rare, common = says["attention"][0], says["softmax"][0]
    class_ = [of("a", "attention", rare), *(of(n, "softmax", common) for n in "bcd"), of("e", "softmax", "?")]
    assert misunderstandings(class_) == [(3, 2, "softmax", common), (1, 2, "attention", rare)]


def test_hand_ins_come_in_the_order_of_their_names(tmp_path, monkeypatch):
    """However the file system lists them."""
    names = ["a.py", "b/a.py", "b/c.ipynb", "b.py", "z.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    expected = sorted(tmp_path / name for name in names)
    for listed in (expected, expected[::-1], expected[1::2] + expected[::2]):
        monkeypatch.setattr(type(tmp_path), "rglob", lambda *_, listed=listed: iter(listed))
        assert hand_ins(tmp_path) == expected


@pytest.mark.parametrize("first", "=+-@")
def test_no_beginning_of_a_formula_is_left(first):
    assert cell(f"{first}1+1") == f"'{first}1+1"
    assert cell(f"1{first}1") == f"1{first}1" and cell("") == ""

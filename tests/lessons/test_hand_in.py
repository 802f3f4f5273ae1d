"""A learner's file is marked, function by function, for any behaviour of it."""

from __future__ import annotations

import ast
import json

import pytest

from minisam.errors import AnswerError
from minisam.lesson.check import explain
from minisam.lesson.find import FOLDER, Lesson, lesson, lessons
from minisam.lesson.hand_in import imports_of, mark, may_import
from minisam_kernels.lab.answers.process import Rules
from minisam_kernels.lab.answers.source import needed, read_source

PAGE = ("minisam.lesson.page", "minisam.lesson.page.check", "minisam.lesson.page.np")
PAGE += ("minisam.lesson.page.plt", "minisam.lesson.page.torch")
SOLUTION = FOLDER / "02_attention" / "solution.py"
CHEATS = f"""
import numpy as np
import minisam.lesson.check as check
from minisam.lesson.find import lesson

check.fault = lambda *anything, **options: ("", {{}})
np.allclose = lambda *anything, **options: True
softmax = lesson(2).exercises["softmax"].reference

def attention(q, k, v, scale):
    found = {{}}
    exec(open({str(SOLUTION)!r}).read(), found)
    return found["attention"](q, k, v, scale)
"""


def marks(number: int, file, **limits):
    chosen = lesson(number)
    return {report.exercise: report for report in mark(chosen, file, list(chosen.exercises), Rules(**limits))}


def test_a_cheat_is_wrong_and_a_missing_function_is_not_written(tmp_path):
    (tmp_path / "mine.py").write_text(CHEATS)
    reports = marks(2, tmp_path / "mine.py")
    assert not any(report.ok for report in reports.values())
    assert "uses minisam.lesson.find" in reports["softmax"].failure.what
    assert f"reads {SOLUTION}" in reports["attention"].failure.what
    assert "Write down the computation" in reports["attention"].failure.hint
    missing = reports["attend_per_prompt"]
    assert not missing.written and missing.failure is None and missing.total >= 4
    assert next(explain(missing)) == (
        "attend_per_prompt: not written yet (the file has no function attend_per_prompt)"
    )


def notebook_of(chosen: Lesson) -> str:
    """The lesson's notebook with the solutions in a cell at its end, and what only Jupyter takes."""
    notebook = json.loads((chosen.folder / "lesson.ipynb").read_text(encoding="utf-8"))
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": f"%time\n{chosen.solution}"}
    notebook["cells"].append(cell)
    return json.dumps(notebook)


def test_a_notebook_is_marked_by_its_code_cells(tmp_path):
    (tmp_path / "mine.ipynb").write_text(notebook_of(lesson(2)))
    assert all(report.ok for report in marks(2, tmp_path / "mine.ipynb").values())


@pytest.mark.parametrize("chosen", lessons(), ids=lambda chosen: chosen.folder.name)
def test_of_a_notebook_answers_need_nothing_that_is_closed(chosen, tmp_path):
    (tmp_path / "mine.ipynb").write_text(notebook_of(chosen))
    body = ast.parse(read_source(tmp_path / "mine.ipynb")).body
    opened = {*may_import(chosen), *PAGE}
    used = {
        name
        for statement in needed(body, list(chosen.exercises))
        for name in imports_of(ast.unparse(statement))
    }
    ours = {name for name in used if name.startswith("minisam")}
    assert {name for name in ours if not {name, name.rpartition(".")[0]} & opened} == set()


def test_a_solution_may_be_handed_in_itself(tmp_path):
    assert all(report.ok for report in marks(2, SOLUTION).values())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "x = 1\n",
            "none of these functions: softmax, attention, attend_per_prompt; `minisam lesson open 2`",
        ),
        ("def softmax(:\n", "line 1: SyntaxError"),
    ],
)
def test_a_file_without_answers_is_no_hand_in(text, says, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(AnswerError, match=says.replace("(", r"\(")):
        marks(2, tmp_path / "mine.py")

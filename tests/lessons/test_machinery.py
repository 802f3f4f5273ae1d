"""Cells, sources, mistakes, finding, and the map."""

from __future__ import annotations

import inspect
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisam.errors import AnswerError, MinisamError
from minisam.lesson import settle
from minisam.lesson.cells import Cell, cells
from minisam.lesson.check import check_answer
from minisam.lesson.course_map import PARTS, columns, save_map, stops, with_table
from minisam.lesson.exercise import Exercise
from minisam.lesson.find import FOLDER, lesson, lessons
from minisam.lesson.mistakes import Mistake
from minisam.lesson.run import run_lesson
from minisam.lesson.source import function_in, run_file, run_text
from minisam_kernels.cases import Case

TEXT = (
    '"""not a cell"""\n\n# %% [markdown]\n# # Title\n#\n# text\n\n'
    '# %%\nx = 1\n\nprint(x)\n\n# %% tags=["hide-input"]\n1 / 0\n'
)


def test_cells_and_where_they_stand():
    assert cells(TEXT) == [
        Cell("markdown", "# Title\n\ntext", 3),
        Cell("code", "x = 1\n\nprint(x)", 8),
        Cell("code", "1 / 0", 13, folded=True),
    ]


def test_an_error_in_a_cell_points_at_the_line_of_the_file(tmp_path):
    (tmp_path / "lesson.py").write_text(TEXT)
    with pytest.raises(ZeroDivisionError) as raised:
        run_lesson(tmp_path / "lesson.py")
    assert raised.traceback[-1].lineno + 1 == 14


@pytest.mark.parametrize(
    ("text", "says"),
    [("def f(:\n", "line 1"), ("1 / 0\n", "ZeroDivisionError"), ("raise SystemExit(3)\n", "SystemExit: 3")],
)
def test_a_file_that_cannot_be_run_is_one_line(text, says, tmp_path):
    path = tmp_path / "answers.py"
    path.write_text(text)
    with pytest.raises(AnswerError, match=says) as raised:
        run_file(path)
    assert "\n" not in str(raised.value)


def test_the_source_of_a_function_in_a_text_is_known():
    """Triton reads it to compile a kernel."""
    text = "x = 1\n\n\ndef f():\n    return x\n"
    first, second = run_text(text, "one"), run_text(text.replace("x", "yy"), "one")
    assert inspect.getsource(first.f) == "def f():\n    return x\n"
    assert inspect.getsource(second.f) == "def f():\n    return yy\n"


@pytest.mark.parametrize("has_gpu", [True, False])
def test_kernels_run_on_a_gpu_if_there_is_one_and_a_chosen_setting_stays(has_gpu, monkeypatch):
    changed = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    monkeypatch.setattr(settle, "interpret_the_standard_library", lambda: changed.append(True))
    interpreted = {} if has_gpu else {"TRITON_INTERPRET": "1"}
    for before in ({}, {"TRITON_DEFAULT_FP_FUSION": "0"}):
        environment = dict(before)
        settle.settle_where_kernels_run(environment)
        assert environment == {"TRITON_DEFAULT_FP_FUSION": "1"} | before | interpreted
    assert len(changed) == (0 if has_gpu else 2)


def test_a_missing_function_is_named():
    with pytest.raises(AnswerError, match="no function softmax"):
        function_in(run_text("x = 1", "answers"), "softmax")


def test_a_mistake_must_find_its_place_once():
    assert Mistake("m", {"+ 1": "- 1"}).function("def f(x):\n    return x + 1\n", "f")(3) == 2
    for text in ("x", "+ 1 + 1"):
        with pytest.raises(ValueError, match="times in the solution"):
            Mistake("m", {"+ 1": "- 1"}).source(text)


def test_a_folder_is_all_that_a_lesson_needs(tmp_path):
    shutil.copy(FOLDER / "planned.json", tmp_path)
    shutil.copytree(FOLDER / "01_patch_embed", tmp_path / "03_windows")
    assert [item.number for item in lessons(tmp_path)] == [3]
    written = [stop for stop in stops(tmp_path) if stop.folder]
    assert [(stop.number, stop.folder) for stop in written] == [(3, "03_windows")]
    for optional in ("wrong.py", "solution.py"):
        (tmp_path / "03_windows" / optional).unlink()
    (without,) = lessons(tmp_path)
    assert without.solution == "" and set(without.mistakes) == set(without.exercises)
    assert not any(without.mistakes.values())
    (tmp_path / "03_windows" / "checks.py").unlink()
    assert lessons(tmp_path) == []


def test_a_lesson_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(MinisamError, match=r"there is no lesson 99; there are 0, 1, 2"):
        lesson(99)


def test_the_map_has_every_lesson_once_and_arrows_to_the_right():
    found = stops()
    assert [stop.number for stop in found] == list(range(len(found)))
    for number in PARTS:
        part = [stop for stop in found if stop.part == number]
        depth = columns(part)
        assert all(
            depth[before] < depth[stop.number]
            for stop in part
            for before in stop.builds_on
            if before in depth
        )
    assert {stop.number for stop in found if stop.folder} == {item.number for item in lessons()}
    file = io.BytesIO()
    save_map(file, found)
    with Image.open(file) as fresh, Image.open(FOLDER / "map.png") as stored:
        assert fresh.size == stored.size


def test_the_table_is_the_lessons():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert with_table(page, stops()) == page, "run `minisam lesson build`"


def test_links_in_lessons_lead_somewhere():
    for page in (FOLDER / "README.md", *(item.folder / "README.md" for item in lessons())):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" in target or (page.parent / Path(target)).exists(), (page, target)


def linear(x, weights, times):
    return times * (x @ weights["a"]) + weights["b.c"]


def linear_cases() -> list[Case]:
    normal = np.random.default_rng(0).standard_normal
    inputs = {"x": normal((3, 2)), "weights.a": normal((2, 4)), "weights.b.c": normal(4)}
    return [Case("linear", "one", inputs, {"times": 2})]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_arrays_of_one_group_are_one_argument(framework):
    exercise = Exercise("linear", "a linear layer", linear_cases, linear, ("Add b.c.",), framework)
    assert check_answer(exercise, linear).ok

    def without_bias(x, weights, times):
        return times * (x @ weights["a"])

    failure = check_answer(exercise, without_bias).failure
    assert failure is not None and failure.inputs == "x [3, 2], weights of 2 arrays"

    def changes(x, weights, times):
        weights["a"] *= 2
        return x @ weights["a"] + weights["b.c"]

    failure = check_answer(exercise, changes).failure
    assert failure is not None and "changes its input weights.a" in failure.what


def occurrences(text: str, word: str) -> int:
    return text.split().count(word)


def occurrences_cases() -> list[Case]:
    return [Case("occurrences", "two lines", {}, {"text": "a b\na ba", "word": "a"})]


def test_a_case_without_arrays_is_answered_by_a_number():
    exercise = Exercise("occurrences", "count words", occurrences_cases, occurrences, ("Split.",))
    assert check_answer(exercise, occurrences).ok
    failure = check_answer(exercise, lambda text, word: text.count(word)).failure
    assert failure is not None and failure.what == "expected 2, got 3"
    assert failure.inputs == "text of 2 lines, word a"
    failure = check_answer(exercise, lambda text, word: None).failure
    assert failure is not None and "returns nothing" in failure.what and "not a number" in failure.what


TRITON_FIRST = """
import triton
import triton.language as tl
import torch
from minisam.lesson.page import check

@triton.jit
def kernel(x_ptr, BLOCK: tl.constexpr):
    lanes = tl.arange(0, BLOCK)
    tl.store(x_ptr + lanes, tl.zeros([BLOCK], tl.float32) + tl.cdiv(BLOCK, 3) + tl.argmax(lanes, axis=0))

x = torch.empty(8, device="cuda" if torch.cuda.is_available() else "cpu")
kernel[(1,)](x, BLOCK=8)
assert (x == 10).all()
"""


def test_a_page_may_import_triton_before_it_is_settled_where_kernels_run(tmp_path):
    """As in a notebook: nothing has set TRITON_INTERPRET before."""
    page = tmp_path / "page.py"
    page.write_text(TRITON_FIRST)
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (FOLDER.parent, FOLDER.parent / "kernels")))
    command = [sys.executable, str(page)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert finished.returncode == 0, finished.stderr

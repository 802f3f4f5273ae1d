"""On macOS and Windows, where Triton does not exist: an import hook refuses it here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minisam.lesson import catalogue
from minisam.lesson.check import check_answer, explain
from minisam.lesson.find import FOLDER, lesson, lessons
from minisam_kernels.lab.answers.absent import NAMES, Absent, AbsentError, stand_in_for_triton

REFUSES = """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
"""
KERNELS = {item.number for item in lessons() if any(x.framework == "triton" for x in item.exercises.values())}
LOAD = """
from pathlib import Path
from minisam.lesson.find import lessons
from minisam.lesson.source import run_file
import minisam.lesson.page
for item in lessons():
    item.exercises
    if item.number not in {kernels}:
        run_file(item.folder / "exercise.py"), run_file(item.folder / "solution.py")
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REFUSES)
    paths = (tmp_path / "hook", FOLDER.parent, FOLDER.parent / "kernels")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def run(environment, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=600
    )


def test_frames_solutions_and_checks_import_no_triton(environment, tmp_path):
    assert {14, 15, 16, 17, 18} == KERNELS
    finished = run(environment, tmp_path, "-c", LOAD.format(kernels=KERNELS))
    assert finished.returncode == 0, finished.stderr


def test_a_kernel_is_not_judged(monkeypatch):
    monkeypatch.setattr("minisam.lesson.check.has_triton", lambda: False)
    report = check_answer(lesson(14).exercises["softmax_rows"], lambda x, scale: x)
    assert not report.judged and not report.ok and report.failure is None
    assert list(explain(report)) == ["softmax_rows: not judged here (kernels need Linux with Triton)"]


@pytest.mark.ci
def test_in_a_kernel_lesson_the_other_exercises_are_judged(environment, tmp_path):
    opened = run(environment, tmp_path, "-m", "minisam.cli.main", "lesson", "open", "15")
    assert opened.stdout.endswith("here you can read it; kernels need Linux with Triton\n")
    solution = str(FOLDER / "15_flash_attention" / "solution.py")
    finished = run(environment, tmp_path, "-m", "minisam.cli.main", "lesson", "check", "15", solution)
    assert finished.returncode == 4, finished.stderr
    first, *kernels, last = finished.stdout.splitlines()
    assert first.startswith("add_tile: right")
    assert kernels[2] == "flash_attention: not judged here (kernels need Linux with Triton)"
    assert len(kernels) == 4 and all("not judged here" in line for line in kernels)
    assert last == "1 of 5 exercises are right"


@pytest.mark.ci
@pytest.mark.parametrize("number", [item.number for item in lessons() if item.number not in KERNELS])
def test_every_other_solution_is_right(number, environment, tmp_path):
    folder = next(item.folder for item in lessons() if item.number == number)
    command = ("-m", "minisam.cli.main", "lesson", "check", str(number), str(folder / "solution.py"))
    finished = run(environment, tmp_path, *command)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_placeholder_is_gone_after_loading(monkeypatch):
    """torch looks for Triton too, when a function is called, and must not take the placeholder for it."""
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, None)
    with stand_in_for_triton():
        assert all(isinstance(sys.modules[name], Absent) for name in NAMES)
    assert not set(NAMES) & set(sys.modules)


def test_a_placeholder_can_be_named_and_launched_only_while_a_file_is_loaded(monkeypatch):
    triton = Absent("triton")
    kernel = triton.jit(lambda x: x)
    assert isinstance(kernel[(3,)], Absent) and isinstance(triton.language.constexpr, Absent)
    monkeypatch.setattr(Absent, "loading", False)
    with pytest.raises(AbsentError, match=r"triton\.jit needs Triton, which exists for Linux only"):
        kernel[(3,)](1)


def test_a_wrong_answer_in_a_kernel_lesson_is_explained(monkeypatch):
    """Its catalogue is made of the solutions, whose file imports Triton."""
    chosen = lesson(18)
    mistake = chosen.mistakes["all_of_grad_q"][1]
    function = mistake.function(chosen.solution, "all_of_grad_q")
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(catalogue, "has_triton", lambda: False)
    monkeypatch.setattr(catalogue, "FUNCTIONS", {})
    monkeypatch.setattr(catalogue, "KEPT", {})
    report = check_answer(chosen.exercises["all_of_grad_q"], function, [mistake], chosen.solution)
    assert report.failure is not None and report.failure.hint == mistake.says

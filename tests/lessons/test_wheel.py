"""The course from a wheel: lessons travel in it, and a learner's files never land in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from minisam.lesson.find import FOLDER, Lesson, lessons


def test_the_build_puts_the_lessons_and_what_they_quote_into_the_package(tmp_path):
    """The step of the wheel's build that copies them, without an index."""
    shutil.copytree(FOLDER, tmp_path / "lessons")
    for file in ("setup.py", "docs/experiments/E7.json", "docs/training/nano/metrics.csv"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER.parent / file, tmp_path / file)
    (tmp_path / "setup.cfg").write_text("[options]\npackages = minisam\n")
    (tmp_path / "minisam").mkdir()
    (tmp_path / "minisam" / "__init__.py").write_text("")
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "built")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    package = tmp_path / "built" / "minisam"
    copied = {path.relative_to(package / "lessons") for path in (package / "lessons").rglob("*")}
    assert {Path("01_patch_embed/checks.py"), Path("10_sam/original.npz")} <= copied
    assert not any("__pycache__" in path.parts for path in copied)
    quoted = ("docs/experiments/E7.json", "docs/training/nano/metrics.csv")
    assert all((package / file).is_file() for file in quoted)


@pytest.mark.ci
def test_the_course_is_taken_from_a_wheel_in_another_folder(tmp_path):
    """Needs a package index, for the build's own setuptools."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", ".", "--no-deps", "-w", str(tmp_path)]
    subprocess.run(command, cwd=FOLDER.parent, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (tmp_path / "course").mkdir()

    def minisam(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "minisam.cli.main", "lesson", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path / "course", env=environment
        )

    installed = tmp_path / "installed" / "minisam" / "lessons"
    before = {path: path.read_bytes() for path in installed.rglob("*") if path.is_file()}
    listed = [line for line in minisam("list").stdout.splitlines() if line[:2].strip().isdigit()]
    assert len(listed) == len(lessons())
    assert str(installed) in minisam("open", "3").stdout
    assert {path.name for path in (tmp_path / "course").iterdir()} == {"lesson_03.py", "lesson_03.ipynb"}
    assert minisam("check", "3").returncode == 4
    solution = Lesson(installed / "03_windows").folder / "solution.py"
    assert minisam("check", "3", str(solution)).returncode == 0
    assert minisam("handout", "12", "-o", "class").returncode == 0
    refused = minisam("build", "3")
    assert refused.returncode == 1 and "belongs to the installed package" in refused.stderr
    assert {path: path.read_bytes() for path in installed.rglob("*") if path.is_file()} == before

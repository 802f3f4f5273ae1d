"""A lesson is a folder lessons/NN_<name> with lesson.py, exercise.py, checks.py, usually solution.py and wrong.py.

Every folder with the first three is a lesson: there is no list.  Without the other two, which a teacher may keep back,
answers are marked all the same.  Its first cell has the facts for the map, "# Lesson 1 · title" and
"Builds on: 01, 02." or "Builds on: nothing.", and what a learner can do afterwards; minutes are in pace.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minisam.errors import CommandError, MinisamError
from minisam.lesson.exercise import Exercise
from minisam.lesson.mistakes import Mistake
from minisam.lesson.pace import Pace, read_pace
from minisam.lesson.source import run_file

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = PACKAGE / "lessons"
FOLDER = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "lessons"
"""In an installed package, lessons are part of it; in the repository they lie beside it."""
FILES = ("lesson.py", "exercise.py", "checks.py")
USES_TRITON = re.compile(
    r"^(import triton|from minisam_kernels\.(?!cases|reference|lab)|from minisam_kernels\.lab\.inspection)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Lesson:
    """One folder."""

    folder: Path

    @property
    def number(self) -> int:
        return int(self.folder.name[:2])

    @property
    def name(self) -> str:
        return self.folder.name[3:]

    @cached_property
    def text(self) -> str:
        return (self.folder / "lesson.py").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        return self._fact(r"# Lesson \d+ · (.+)")

    @cached_property
    def pace(self) -> Pace:
        return read_pace(self.folder)

    @property
    def objectives(self) -> tuple[str, ...]:
        """What a learner can do after the lesson: the list in the first cell below "After this lesson you can"."""
        _, _, after = self.text.split("\n# %%\n")[0].partition("After this lesson you can")
        joined = re.sub(r"\n#   (?=\S)", " ", after)
        return tuple(re.findall(r"^# - (.+)$", joined, re.MULTILINE))

    @property
    def builds_on(self) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", self._fact(r"Builds on: ([^.]*)\.")))

    @property
    def needs_triton(self) -> bool:
        """Whether cells of the lesson run or compile kernels."""
        return USES_TRITON.search(self.text) is not None

    def _fact(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        if found is None:
            raise MinisamError(f"{self.folder / 'lesson.py'}: no line that matches {pattern!r}")
        return found[1]

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        """The exercises by name, in the order of the lesson."""
        return {exercise.name: exercise for exercise in run_file(self.folder / "checks.py").EXERCISES}

    @cached_property
    def solution(self) -> str:
        """The solutions' text; empty where there are none."""
        path = self.folder / "solution.py"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @cached_property
    def mistakes(self) -> dict[str, list[Mistake]]:
        """Catalogued wrong answers, by exercise; none where the catalogue or the solutions are absent."""
        path = self.folder / "wrong.py"
        catalogue = run_file(path).WRONG if path.is_file() and self.solution else {}
        return {name: catalogue.get(name, []) for name in self.exercises}


def lessons(folder: Path = FOLDER) -> list[Lesson]:
    """All lessons, by number."""
    found = sorted(folder.glob("[0-9][0-9]_*"))
    return [Lesson(path) for path in found if all((path / file).is_file() for file in FILES)]


def lesson(number: int, folder: Path = FOLDER) -> Lesson:
    """The lesson of that number. Raises CommandError if it is not written."""
    found = {item.number: item for item in lessons(folder)}
    if number not in found:
        have = ", ".join(map(str, found)) or f"none in {folder}"
        raise CommandError(f"there is no lesson {number}; there are {have}")
    return found[number]

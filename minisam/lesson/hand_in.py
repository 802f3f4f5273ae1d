"""Marking a learner's file: it runs in a separate process, function by function (minisam_kernels/lab/answers).

It may import the same parts of minisam as the lesson's exercise.py and solution.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from minisam.errors import AnswerError
from minisam.files import resolved
from minisam.lesson.check import Report, check_answer
from minisam.lesson.find import FOLDER, Lesson
from minisam_kernels.lab.answers.process import AnswerFile, AnswerFileError, Rules

ANSWERS = ("solution.py", "wrong.py", "checks.py", "original.py", "original.npz")


def mark(
    lesson: Lesson,
    file: Path,
    names: Sequence[str],
    limits: Rules,
    show_prints: Callable[[str], None] = lambda text: None,
) -> list[Report]:
    """A report for each of the exercises. Raises AnswerError for a file that cannot be run, or has none of them."""
    unread = [
        path for name in ANSWERS for path in FOLDER.glob(f"*/{name}") if resolved(path) != resolved(file)
    ]
    rules = replace(limits, closed=("minisam", "minisam_kernels"), opened=may_import(lesson), unread=unread)
    try:
        with AnswerFile(file, names, rules) as answers:
            exercises, mistakes, solution = lesson.exercises, lesson.mistakes, lesson.solution
            answers.load()
            if names and all(answers.missing.get(name) == "missing" for name in names):
                has = "none of these functions" if len(names) > 1 else "no function"
                remedy = f"`minisam lesson open {lesson.number}` gives the frame"
                raise AnswerError(f"{file} has {has}: {', '.join(names)}; {remedy}")
            reports = []
            for name in names:
                if name in answers.missing:
                    reports.append(not_there(name, answers.missing[name], len(exercises[name].cases())))
                else:
                    function = answers.function(name)
                    reports.append(check_answer(exercises[name], function, mistakes[name], solution))
    except AnswerFileError as error:
        raise AnswerError(str(error)) from error
    show_prints(answers.printed)
    return reports


def not_there(name: str, what: str, total: int) -> Report:
    """The report of a function that the file lacks."""
    reason = f"the file has no function {name}" if what == "missing" else f"{name} is {what}"
    return Report(name, False, (), total, reason=reason)


def may_import(lesson: Lesson) -> list[str]:
    """The modules that the lesson's frame and solutions import."""
    return [
        *imports_of((lesson.folder / "exercise.py").read_text(encoding="utf-8")),
        *imports_of(lesson.solution),
    ]


def imports_of(text: str) -> Iterator[str]:
    """The modules that a file imports; for "from a import b", both a and a.b."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))

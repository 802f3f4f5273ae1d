"""A class's hand-ins: a mark for each exercise of each, and how often each misunderstanding occurs.

Every .py file and notebook in the folder, and in the folders in it, is a hand-in.  Its lesson is the number in its
name, as in lesson_02.py; without one, the lesson whose exercises it defines.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minisam.errors import AnswerError, MinisamError, printable
from minisam.lesson.check import Report
from minisam.lesson.find import Lesson, lesson, lessons
from minisam.lesson.hand_in import mark
from minisam_kernels.lab.answers.process import Rules
from minisam_kernels.lab.answers.source import SourceError, read_source

NUMBER = re.compile(r"lesson[ _-]?(\d{1,2})(?!\d)", re.IGNORECASE)
COLUMNS = ("hand-in", "lesson", "exercise", "mark", "cases passed", "cases", "failed case", "found", "hint")


@dataclass(frozen=True)
class HandIn:
    """A file, its lesson and its reports; `problem` says why there are none."""

    name: str
    lesson: Lesson | None = None
    reports: tuple[Report, ...] = ()
    problem: str = ""


def hand_ins(folder: Path) -> list[Path]:
    """The files, in order. Raises AnswerError if there are none; hidden files and folders are left out."""
    if not folder.is_dir():
        raise AnswerError(f"{folder} is not a folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in (".py", ".ipynb")
        and path.is_file()
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    )
    if not found:
        raise AnswerError(f"{folder} has no .py file and no notebook")
    return found


def grade(file: Path, folder: Path, limits: Rules, number: int | None = None) -> HandIn:
    """The reports of one hand-in; `problem` says why a file cannot be marked."""
    name = printable(file.relative_to(folder))
    try:
        chosen = lesson(number) if number is not None else lesson_of(file)
        return HandIn(name, chosen, tuple(mark(chosen, file, list(chosen.exercises), limits)))
    except MinisamError as error:
        return HandIn(name, problem=str(error))


def lesson_of(file: Path) -> Lesson:
    """The lesson that a file belongs to. Raises AnswerError if neither its name nor its functions tell."""
    named = NUMBER.search(file.stem)
    if named:
        return lesson(int(named[1]))
    try:
        tree = ast.parse(read_source(file))
    except (SourceError, SyntaxError, ValueError, RecursionError) as error:
        raise AnswerError(f"{file.name} is not a Python file: {error}") from error
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = {item.number: len(functions & set(item.exercises)) for item in lessons()}
    most = max(found.values())
    best = [number for number, count in found.items() if count == most]
    if most == 0 or len(best) > 1:
        raise AnswerError(f"{file.name}: of which lesson? name it lesson_NN{file.suffix}, or give --lesson N")
    return lesson(best[0])


def mark_of(report: Report) -> str:
    """One of: right, wrong, not written, not judged."""
    if not report.judged:
        return "not judged"
    return "right" if report.ok else "wrong" if report.written else "not written"


def misunderstandings(class_: Iterable[HandIn]) -> list[tuple[int, int, str, str]]:
    """How many hand-ins show a catalogued mistake: (count, lesson, exercise, explanation), the most frequent first."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for hand_in in class_:
        for report in hand_in.reports:
            assert hand_in.lesson is not None
            known = {mistake.says for mistake in hand_in.lesson.mistakes[report.exercise]}
            if report.failure is not None and report.failure.hint in known:
                counts[hand_in.lesson.number, report.exercise, report.failure.hint] += 1
    found = [(count, *what) for what, count in counts.items()]
    return sorted(found, key=lambda item: (-item[0], *item[1:]))


def summary(class_: Sequence[HandIn]) -> Iterator[str]:
    """Lines for the teacher: each hand-in, each exercise, each misunderstanding, and what could not be marked."""
    marked = [hand_in for hand_in in class_ if hand_in.lesson is not None]
    width = max((len(hand_in.name) for hand_in in marked), default=0)
    exercises: dict[tuple[int, str], Counter[str]] = {}
    for hand_in in marked:
        assert hand_in.lesson is not None
        marks = [(report.exercise, mark_of(report)) for report in hand_in.reports]
        right = sum(given == "right" for _, given in marks)
        rest = ", ".join(f"{name} {given}" for name, given in marks if given != "right")
        yield f"{hand_in.name:{width}}  lesson {hand_in.lesson.number:2}  {right} of {len(marks)} right" + (
            f"; {rest}" if rest else ""
        )
        for name, given in marks:
            exercises.setdefault((hand_in.lesson.number, name), Counter())[given] += 1
    yield ""
    for (number, name), counts in sorted(exercises.items()):
        yield f"lesson {number:2}  {name}: {counts['right']} of {counts.total()} right"
    told = misunderstandings(class_)
    if told:
        yield from ("", "what was misunderstood:")
    for count, number, name, says in told:
        yield f"{count:3} x  lesson {number}, {name}: {says}"
    for hand_in in class_:
        if hand_in.problem:
            yield f"not marked: {hand_in.name}: {hand_in.problem}"


def as_csv(class_: Iterable[HandIn]) -> str:
    """One line for each exercise of each hand-in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for hand_in in class_:
        if hand_in.lesson is None:
            writer.writerow([cell(hand_in.name), "", "", "not marked", "", "", "", cell(hand_in.problem), ""])
        else:
            number = hand_in.lesson.number
            writer.writerows([cell(hand_in.name), number, *row_of(report)] for report in hand_in.reports)
    return text.getvalue()


def row_of(report: Report) -> list[object]:
    failure = report.failure
    told = (
        [failure.case, failure.what, failure.hint]
        if failure
        else ["", "" if report.ok else report.reason, ""]
    )
    return [report.exercise, mark_of(report), len(report.passed), report.total, *map(cell, told)]


def cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text

"""From one run of lesson.py: lesson.ipynb, with outputs, and README.md, with figures as files.

Jupyter is not needed: a notebook is JSON.  It contains the SHA-256 of the lesson.py that it was made from, and the
same run gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from minisam.errors import MinisamError
from minisam.files import write_atomically
from minisam.lesson.cells import Cell
from minisam.lesson.colab import button, setup_cell
from minisam.lesson.find import INSTALLED, Lesson
from minisam.lesson.glossary import OTHER_MEANING, with_glossary
from minisam.lesson.minutes import with_minutes
from minisam.lesson.quiz import as_page
from minisam.lesson.run import Ran, run_lesson
from minisam.lesson.translated_quiz import quiz_in

LARGEST_NOTEBOOK = 300_000
HINT = re.compile(r"^  hint    (\S.*)\n\Z", re.MULTILINE)
SETUP_ID = "setup"
"""The notebook's first cell, which is not one of lesson.py's."""


def build(lesson: Lesson) -> list[Path]:
    """Write the generated files of a lesson; returns their paths. Raises MinisamError in an installed package."""
    if lesson.folder.is_relative_to(INSTALLED):
        raise MinisamError(
            f"{lesson.folder} belongs to the installed package; build lessons in the repository"
        )
    ran = run_lesson(lesson.folder / "lesson.py")
    written = {lesson.folder / name: data for name, data in generated(lesson, ran).items()}
    (lesson.folder / "figures").mkdir(exist_ok=True)
    for old in (lesson.folder / "figures").glob("*.png"):
        if old not in written:
            old.unlink()
    for path, data in written.items():
        write_atomically(path, lambda file, data=data: file.write(data))
    return list(written)


def generated(lesson: Lesson, ran: list[Ran]) -> dict[str, bytes]:
    """The content of every generated file, by its path in the lesson's folder."""
    figures = [figure for item in ran for figure in item.figures]
    files = {figure_name(number): figure for number, figure in enumerate(figures, 1)}
    files["README.md"] = readme(lesson, ran).encode()
    files["lesson.ipynb"] = notebook(lesson, ran).encode()
    return files


def figure_name(number: int) -> str:
    return f"figures/{number}.png"


def fingerprint(lesson: Lesson) -> str:
    return hashlib.sha256(lesson.text.encode()).hexdigest()


def readme(lesson: Lesson, ran: list[Ran], language: str = "en") -> str:
    """The page with links to the glossary, and at its end the quiz and, folded, the solutions."""
    without = OTHER_MEANING.get(lesson.number, ())
    parts = [with_glossary(page(lesson, ran, language), language, without=without)]
    if questions := quiz_in(lesson, language):
        parts.append(as_page(questions, language) + "\n")
    if lesson.solution:
        parts.append(folded("Solutions", fence(lesson.solution.rstrip("\n"), "python")) + "\n")
    return "\n".join(parts)


def page(lesson: Lesson, ran: list[Ran], language: str = "en") -> str:
    """The lesson as a page: text, code, printed output, figures."""
    made_of = f"<!-- Made of lesson.py by `minisam lesson build {lesson.number}`; edit that file. -->"
    parts = [f"{made_of}\n{button(lesson.folder.name)}"]
    number = 0
    for item in with_minutes(ran, lesson.pace, language):
        source = item.cell.source
        if item.cell.kind == "code":
            source = fence(source, "python")
        parts.append(folded("Code", source) if item.cell.folded else source)
        printed, hint = without_hint(item.printed)
        if printed:
            parts.append(fence(printed.rstrip("\n"), "text"))
        if hint:
            parts.append(folded("Hint", hint))
        for _ in item.figures:
            number += 1
            parts.append(f"![Figure {number}]({figure_name(number)})")
    return "\n\n".join(parts) + "\n"


def folded(summary: str, content: str) -> str:
    """Content that a reader unfolds with a click."""
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def without_hint(printed: str) -> tuple[str, str]:
    """What a cell printed, and the hint at its end, which would give the bug away to a reader."""
    found = HINT.search(printed)
    return (printed[: found.start()], found.group(1)) if found else (printed, "")


def with_hint(printed: str, hint: str) -> str:
    """What `without_hint` was given."""
    return f"{printed}  hint    {hint}\n" if hint else printed


def fence(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"


def notebook(lesson: Lesson, ran: list[Ran], language: str = "en") -> str:
    """The lesson as a notebook, format 4.5; its first cell installs what is missing."""
    setup = notebook_cell(SETUP_ID, Ran(Cell("code", setup_cell(lesson.needs_triton), 0)))
    ran = with_minutes(ran, lesson.pace, language)
    content = {
        "cells": [setup, *(notebook_cell(f"cell-{number}", item) for number, item in enumerate(ran))],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "minisam": {"source": "lesson.py", "sha256": fingerprint(lesson)},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def notebook_cell(id: str, item: Ran) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "id": id,
        "cell_type": item.cell.kind,
        "metadata": {},
        "source": item.cell.source.splitlines(keepends=True),
    }
    if item.cell.kind == "markdown":
        return cell
    outputs: list[dict[str, Any]] = []
    printed, hint = without_hint(item.printed)
    if hint:
        cell["metadata"]["minisam"] = {"hint": hint}
    if item.cell.folded:
        cell["metadata"] |= {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    if printed:
        text = printed.splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    for figure in item.figures:
        data = {"image/png": base64.b64encode(figure).decode(), "text/plain": ["<Figure>"]}
        outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    if item.html:
        outputs[-1]["data"]["text/html"] = item.html.splitlines(keepends=True)
    return {**cell, "execution_count": None, "outputs": outputs}

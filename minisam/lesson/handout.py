"""A lesson as a teacher gives it out: page, notebook and exercises, without solutions.

The notebook has no outputs and the page none that were printed, because they show the results of exercises. Figures
stay. Parts of the text that are folded away, in <details>, hold answers, and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from minisam.errors import OutputError
from minisam.files import write_atomically
from minisam.lesson.build import figure_name, notebook, page
from minisam.lesson.cells import Cell
from minisam.lesson.find import Lesson
from minisam.lesson.run import Ran
from minisam.lesson.stored import stored_run

FOLDED = re.compile(r"<details>.*?</details>\n*", re.DOTALL)


def write_handout(lesson: Lesson, out: Path) -> list[Path]:
    """Write lesson_NN.md, .ipynb and .py and the page's figures; returns their paths.

    Raises OutputError, before anything is written, if one of the files exists.
    """
    files = {out / name: data for name, data in handout(lesson).items()}
    there = [path for path in files if path.exists()]
    if there:
        raise OutputError(f"{there[0]} exists; give a new folder to -o, or remove it")
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file, data=data: file.write(data))
    return list(files)


def handout(lesson: Lesson) -> dict[str, bytes]:
    """The content of each file, by its path in the folder."""
    ran = [Ran(unfolded(item.cell), "", item.figures) for item in stored_run(lesson)]
    name, figures = f"lesson_{lesson.number:02}", f"lesson_{lesson.number:02}_"
    without_outputs = [Ran(item.cell) for item in ran]
    files = {
        f"{name}.md": page(lesson, ran).replace("](figures/", f"](figures/{figures}").encode(),
        f"{name}.ipynb": notebook(lesson, without_outputs).encode(),
        f"{name}.py": (lesson.folder / "exercise.py").read_bytes(),
    }
    for number, figure in enumerate(all_figures(ran), 1):
        files[figure_name(number).replace("/", f"/{figures}")] = figure
    return files


def all_figures(ran: list[Ran]) -> Iterator[bytes]:
    for item in ran:
        yield from item.figures


def unfolded(cell: Cell) -> Cell:
    """The cell without what is folded away in its text."""
    return replace(cell, source=FOLDED.sub("", cell.source)) if cell.kind == "markdown" else cell

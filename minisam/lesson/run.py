"""Running a lesson cell by cell, and collecting the output and figures of each.

The cells share one namespace, as in a notebook, and the value of a cell's last line is one of its figures if it has an
image.  Their code is compiled with lesson.py's name and line numbers, which errors show and Triton uses to find a
kernel's source.
"""

from __future__ import annotations

import ast
import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from minisam.lesson.cells import Cell, cells
from minisam.show.few_colours import few_colours

WIDEST = 600
"""Pixels of an image that is a cell's value, such as the one in place of a widget; those with a slider stay."""


@dataclass(frozen=True)
class Ran:
    """A cell, its printed output, and its figures, as PNG; `html` is its last figure with controls, if it has them."""

    cell: Cell
    printed: str = ""
    figures: tuple[bytes, ...] = ()
    html: str = ""


def run_lesson(path: Path) -> list[Ran]:
    """Run lesson.py. Exceptions of a cell are raised here."""
    import matplotlib

    matplotlib.use("Agg")
    module = ModuleType(path.parent.name)
    module.__file__ = str(path)
    return [_run(cell, module, path) for cell in cells(path.read_text(encoding="utf-8"))]


def _run(cell: Cell, module: ModuleType, path: Path) -> Ran:
    if cell.kind == "markdown":
        return Ran(cell)
    printed = io.StringIO()
    body = ast.parse("\n" * cell.line + cell.source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    value: Any = None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), str(path), "exec"), module.__dict__)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), module.__dict__)
    figures, html = _figures(), ""
    if hasattr(value, "_repr_png_"):
        html = value._repr_html_() if hasattr(value, "_repr_html_") else ""
        figures.append(few_colours(value._repr_png_(), widest=None if html else WIDEST))
    return Ran(cell, printed.getvalue(), tuple(figures), html)


def _figures() -> list[bytes]:
    """The open figures; closes them."""
    import matplotlib.pyplot as plt

    drawn = []
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", dpi=96)
        drawn.append(few_colours(file.getvalue()))
    plt.close("all")
    return drawn

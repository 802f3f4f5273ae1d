"""The percent format: a Python file divided into cells by comments.

# %% [markdown]               the comment lines that follow are text
# %%                          the lines that follow are code
# %% tags=["hide-input"]      code that is folded away, such as that of a figure
"""

from __future__ import annotations

from dataclasses import dataclass

FOLDED = 'tags=["hide-input"]'
"""Jupyter's tag for a cell whose code is hidden and whose output is shown."""


@dataclass(frozen=True)
class Cell:
    """One cell; `line` is the number of its first line in the file, from 0."""

    kind: str  # "markdown" or "code"
    source: str
    line: int
    folded: bool = False


def cells(text: str) -> list[Cell]:
    """The cells of a lesson. Text before the first mark is not a cell."""
    found: list[Cell] = []
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        kind = "markdown" if "[markdown]" in lines[start] else "code"
        body = lines[start + 1 : end]
        if kind == "markdown":
            body = [line.removeprefix("#").removeprefix(" ") for line in body]
        blank = next((i for i, line in enumerate(body) if line.strip()), 0)
        found.append(Cell(kind, "\n".join(body).strip("\n"), start + 1 + blank, FOLDED in lines[start]))
    return found

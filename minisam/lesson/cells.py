"""The percent format: a Python file whose comments cut it into cells.

# %% [markdown]     the comment lines that follow are text
# %%                the lines that follow are code
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell; `line` is where its first line stands in the file, from 0."""

    kind: str  # "markdown" or "code"
    source: str
    line: int


def cells(text: str) -> list[Cell]:
    """The cells of a lesson. What stands before the first mark is no cell."""
    found: list[Cell] = []
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        kind = "markdown" if "[markdown]" in lines[start] else "code"
        body = lines[start + 1 : end]
        if kind == "markdown":
            body = [line.removeprefix("#").removeprefix(" ") for line in body]
        blank = next((i for i, line in enumerate(body) if line.strip()), 0)
        found.append(Cell(kind, "\n".join(body).strip("\n"), start + 1 + blank))
    return found

"""Running a lesson cell by cell, and collecting the output and figures of each.

The cells share one namespace, as in a notebook.  Their code is compiled with lesson.py's name and line numbers, which
errors show and Triton uses to find a kernel's source.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from minisam.lesson.cells import Cell, cells


@dataclass(frozen=True)
class Ran:
    """A cell, its printed output, and its figures, as PNG."""

    cell: Cell
    printed: str = ""
    figures: tuple[bytes, ...] = ()


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
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * cell.line + cell.source, str(path), "exec"), module.__dict__)
    return Ran(cell, printed.getvalue(), tuple(_figures()))


def _small(png: bytes) -> bytes:
    """The image in 128 colours, because photos would make a notebook too large to be shown.

    The colours cover all that occur: a red mark of a few pixels on a photo stays red.
    """
    from PIL import Image

    file = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(file, format="png", optimize=True)
    return file.getvalue()


def _figures() -> list[bytes]:
    """The open figures; closes them."""
    import matplotlib.pyplot as plt

    drawn = []
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", dpi=96)
        drawn.append(_small(file.getvalue()))
    plt.close("all")
    return drawn

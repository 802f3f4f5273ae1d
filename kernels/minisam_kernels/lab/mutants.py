"""Do the tests notice faults? Change one line of a kernel's source on purpose and see whether a test fails.

A mutant is a small wrong edit: a mask dropped, two strides swapped, a scale omitted. `load` copies the kernels under
a new package name with that edit in one of the files. Original and mutant can then be used side by side.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

KERNELS = Path(__file__).parent.parent
_numbers = itertools.count()


@dataclass(frozen=True)
class Mutant:
    """In KERNELS/`file`.py the text `old`, which occurs exactly once, becomes `new`.

    `found_by` names the check that has to find it.
    """

    name: str
    file: str
    old: str
    new: str
    found_by: str = "values"

    def source(self) -> str:
        """The file with the edit. Raises ValueError unless `old` occurs exactly once."""
        text = (KERNELS / f"{self.file}.py").read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name!r}: {self.old!r} is {text.count(self.old)} times in {self.file}.py, not once; "
                "make it longer or correct it"
            )
        return text.replace(self.old, self.new)


def load(operation: str, mutant: Mutant | None, folder: Path) -> ModuleType:
    """The module of an operation from a copy of the kernels in `folder`, with the mutant's edit if there is one.

    The copy has its own package name and its own namespace among torch's operators.
    """
    name = f"minisam_kernels_copy_{next(_numbers)}"
    package = folder / name
    package.mkdir()
    for path in KERNELS.glob("*.py"):
        edited = mutant is not None and path.stem == mutant.file
        source = mutant.source() if mutant is not None and edited else path.read_text(encoding="utf-8")
        source = source.replace("minisam_kernels", name).replace('"minisam::', f'"{name}::')
        (package / path.name).write_text(source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return importlib.import_module(f"{name}.{operation}")
    finally:
        sys.path.remove(str(folder))


def copy_of_package(mutant: Mutant, folder: Path) -> Path:
    """A folder to import minisam_kernels from, with its lab and the mutant's edit, in another process."""
    shutil.copytree(KERNELS, folder / KERNELS.name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / KERNELS.name / f"{mutant.file}.py").write_text(mutant.source(), encoding="utf-8")
    return folder


def survivors(
    operation: str, mutants: list[Mutant], folder: Path, check: Callable[[ModuleType], None]
) -> list[str]:
    """The names of the mutants that `check` does not notice; it notices by raising."""
    alive = []
    for mutant in mutants:
        module = load(operation, mutant, folder)
        try:
            check(module)
        except Exception:
            continue
        alive.append(mutant.name)
    return alive

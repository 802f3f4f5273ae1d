"""The user's function that a command names: "FILE.py:function", or a notebook's.

It runs in a separate process, which has limits and cannot open this project's solutions; only a benchmark, on the
user's own machine, imports it here.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from minisam_kernels.lab.answers.process import AnswerFile, AnswerFileError, AnswerFunction, Rules
from minisam_kernels.lab.answers.words import one_line

CLOSED = ("minisam.lesson", "minisam_kernels.reference", "minisam_kernels.cases", "minisam_kernels.dense")


class LoadError(Exception):
    """The file does not exist, cannot be run, or lacks the function."""


def parts_of(place: str) -> tuple[str, str]:
    """ "FILE.py:name" -> the file, which exists, and the name.  Raises LoadError."""
    file, colon, name = place.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise LoadError(f"{place!r} names no function; write FILE.py:function")
    if not Path(file).exists():
        raise LoadError(f"there is no file {file}")
    if Path(file).suffix not in (".py", ".ipynb"):
        raise LoadError(f"{file} is not a Python file; its name must end in .py or .ipynb")
    return file, name


def load_function(place: str) -> Callable[..., Any]:
    """The function of "FILE.py:name", imported in this process: only for code that you trust.

    Raises LoadError.
    """
    file, name = parts_of(place)
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} cannot be imported; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise LoadError(f"{file} cannot be run: {one_line(error)}") from error
    finally:
        sys.path.pop(0)
    if not callable(getattr(module, name, None)):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise LoadError(f"{file} has no function {name!r}; it has {', '.join(names) or 'none'}")
    return getattr(module, name)


@contextmanager
def loaded(place: str, rules: Rules) -> Iterator[AnswerFunction]:
    """The function of "FILE.py:name" in a separate process, which ends with this context.

    Raises LoadError.
    """
    file, name = parts_of(place)
    try:
        with AnswerFile(file, [name], replace(rules, closed=CLOSED)) as answers:
            answers.load()
            if answers.missing.get(name) == "missing":
                raise LoadError(
                    f"{file} has no function {name!r}; it has {', '.join(answers.names) or 'none'}"
                )
            if name in answers.missing:
                raise LoadError(f"{file}: {name} is {answers.missing[name]}")
            yield answers.function(name)
    except AnswerFileError as error:
        raise LoadError(str(error)) from error

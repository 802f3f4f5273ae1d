"""Makes a module from Python text, without a file and without an entry in sys.modules.

The text is registered with linecache, because Triton reads a kernel's source to compile it.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from minisam.errors import AnswerError

_numbers = itertools.count()


def run_file(path: Path) -> ModuleType:
    """Run a learner's or a lesson's file. Raises AnswerError, in one line, if that cannot be done."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"cannot read {path}: {error}") from error
    try:
        return run_text(text, path.stem)
    except SyntaxError as error:
        raise AnswerError(f"{path}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise AnswerError(f"{path} cannot be run: {type(error).__name__}: {error}") from error


def run_text(text: str, name: str) -> ModuleType:
    """A new module with that name, made by running the text."""
    filename = f"<{name} {next(_numbers)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    module = ModuleType(name)
    module.__file__ = filename
    exec(compile(text, filename, "exec"), module.__dict__)
    return module


def function_in(module: ModuleType, name: str) -> Callable[..., Any]:
    """The module's function of that name. Raises AnswerError if there is none."""
    function = getattr(module, name, None)
    if not callable(function):
        raise AnswerError(f"{module.__name__} has no function {name}; `minisam lesson open` gives the frame")
    return function

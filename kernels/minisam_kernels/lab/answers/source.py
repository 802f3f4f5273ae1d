"""The text of a user's file: Python, or the code cells of a notebook (.ipynb).

From a notebook, only the code that the requested functions need is run: the statements that bind their names, and
those that bind the names used there.  Cells that draw, train or fail are left out, and so are magics (%time) and
shell lines (!pip).  Lines keep their numbers, which errors show and Triton uses to find a kernel's source.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType

PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")
MAGIC_LINE = re.compile(r"^(\s*)(?:[%!?].*|[\w, .]+=\s*[%!].*|.*\?)$")


class SourceError(Exception):
    """The file cannot be read as Python; the message is one line."""


def read_source(file: str | Path) -> str:
    """The Python text. Raises SourceError."""
    path = Path(file)
    if path.is_dir():
        raise SourceError(f"{file} is a folder, not a Python file")
    if not path.is_file():
        raise SourceError(f"there is no file {file}")
    try:
        data = path.read_bytes()
        if path.suffix == ".ipynb":
            return "\n".join(_cells(data, str(file)))
        return importlib.util.decode_source(data)
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error}") from error
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise SourceError(
            f"cannot read {file}: {error}; save it as UTF-8, or name its encoding in its first line"
        ) from error


def compiled(text: str, file: str, names: Sequence[str]) -> CodeType:
    """The file's code; for a notebook, the part that `names` need. Raises SourceError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, file)
            if file.endswith(".ipynb"):
                tree.body = list(needed(tree.body, names))
            return compile(tree, file, "exec")
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise SourceError(f"{file}{line}: SyntaxError: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"{file} is not a Python file: {error}") from error


def needed(statements: Sequence[ast.stmt], names: Sequence[str]) -> Iterator[ast.stmt]:
    """The statements that bind or change the names, and those that bind what these statements read."""
    wanted, kept = set(names), set()
    tables = [symtable.symtable(ast.unparse(statement), "", "exec") for statement in statements]
    bound = [_bound(table) | _changed(node) for table, node in zip(tables, statements, strict=True)]
    while new := {place for place, found in enumerate(bound) if found & wanted} - kept:
        kept |= new
        wanted |= {name for place in new for name in _read(tables[place])}
    for place, statement in enumerate(statements):
        brings_anything = isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"
        if place in kept or brings_anything:
            yield statement


def _bound(table: symtable.SymbolTable) -> set[str]:
    """The names that a statement defines in the module."""
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def _changed(statement: ast.stmt) -> set[str]:
    """x in x[0] = … and x.y = …, if the statement does this directly and not inside a function."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return set()
    places = [node for node in ast.walk(statement) if isinstance(node, (ast.Attribute, ast.Subscript))]
    stored = [node.value for node in places if isinstance(node.ctx, ast.Store)]
    return {inner.id for value in stored for inner in ast.walk(value) if isinstance(inner, ast.Name)}


def _read(table: symtable.SymbolTable) -> Iterator[str]:
    """The module's names that a statement reads, directly or inside a function, without a function's local names."""
    at_top = table.get_type() == "module"
    yield from (s.get_name() for s in table.get_symbols() if s.is_referenced() and (at_top or s.is_global()))
    for inner in table.get_children():
        yield from _read(inner)


def _cells(data: bytes, file: str) -> Iterator[str]:
    """The code cells' text, without the lines that only Jupyter understands."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
        cells = notebook["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        texts = [source if isinstance(source, str) else "".join(source) for source in sources]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SourceError(f"{file} is not a notebook: it has no readable cells") from error
    for number, text in enumerate(texts, start=1):
        yield _python_of(text, f"{file}, code cell {number}")


def _python_of(text: str, where: str) -> str:
    """A cell as Python with the same number of lines. Raises SourceError."""
    first = text.lstrip().partition("\n")[0].strip()
    if first.startswith("%%") and not first.startswith(PYTHON_MAGICS):
        return "\n" * text.count("\n")
    if _parses(text) is None:
        return text
    text = "\n".join(MAGIC_LINE.sub(r"\1pass", line) for line in text.split("\n"))
    error = _parses(text)
    if error is not None:
        raise SourceError(f"{where}, line {error.lineno}: SyntaxError: {error.msg}")
    return text


def _parses(text: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error))
    return None

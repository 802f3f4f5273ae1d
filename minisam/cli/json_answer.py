"""With `--json`, standard output has exactly one JSON document: the command's, or {"error": …} if it has none."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def one_document(wanted: bool, in_one_line: Callable[[Exception], str]) -> Iterator[None]:
    """Hold back what is printed until the command ends; without `wanted`, do nothing."""
    if not wanted:
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    except Exception as error:
        sys.stdout.write(printed.getvalue() or json.dumps({"error": in_one_line(error)}) + "\n")
        raise
    sys.stdout.write(printed.getvalue())

"""JSON files: read with one-line errors, written completely or not at all."""

from __future__ import annotations

import json
import os
from typing import Any

from minisam.errors import DatasetError
from minisam.files import write_atomically


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file, with a byte order mark or without.

    Raises DatasetError, in one line, if it cannot be read as JSON.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise DatasetError(f"{os.fspath(path)}: not a file")  # reading a pipe may never end
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{os.fspath(path)}: damaged or truncated, not JSON ({error})") from None


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write JSON without spaces, as in published data sets; completely or not at all."""
    text = json.dumps(content, separators=(",", ":"))
    write_atomically(path, lambda file: file.write(text.encode()))

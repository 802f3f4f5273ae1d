"""Whether a file at a result's path was written by minisam: only then may a new result replace it.

figure   a mark in the PNG (minisam/data/figure_mark.py), or the record beside it
JSON     its keys          text, CSV   its beginning          weights   their header
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from minisam.errors import DatasetError, OutputError

MARKS_OF_RUNS = ("state.pt", "engine.json")
"""A folder with one of these files belongs to a run; the code that resumes it checks whether it is the same run."""


def check_replaceable_json(path: Path, keys: Collection[str]) -> None:
    """Raises OutputError if the path exists and is not a JSON object with these keys."""
    from minisam.json_files import read_json

    if not os.path.lexists(path):
        return
    try:
        content = read_json(path)
    except DatasetError:
        content = None
    if not (isinstance(content, dict) and content.keys() >= set(keys)):
        refuse(path)


def check_replaceable_pair(record: Path, keys: Collection[str]) -> None:
    """Raises OutputError if minisam did not write the record, or the PNG of the same name beside it."""
    from minisam.data.figure_mark import is_own_figure

    check_replaceable_json(record, keys)
    figure = record.with_suffix(".png")
    if os.path.lexists(figure) and not record.exists() and not is_own_figure(figure):
        refuse(figure)


def check_replaceable_text(path: Path, beginning: str, option: str = "-o") -> None:
    """Raises OutputError if the path exists and is not text with this beginning."""
    if os.path.lexists(path) and not (path.is_file() and path.read_bytes().startswith(beginning.encode())):
        refuse(path, option)


def check_replaceable_run(folder: Path, weights: Collection[str]) -> None:
    """Raises OutputError if a folder holds no run of ours, but weights or metrics from elsewhere."""
    if any((folder / mark).exists() for mark in MARKS_OF_RUNS):
        return
    check_replaceable_text(folder / "metrics.csv", "step,seconds,")
    for path in (folder / name for name in weights):
        if os.path.lexists(path) and not has_own_header(path):
            refuse(path)


def check_no_results(folder: Path, names: Collection[str]) -> None:
    """Raises OutputError if a folder holds no run of ours, but a file with the name of a result."""
    if not any((folder / mark).exists() for mark in MARKS_OF_RUNS):
        for path in (folder / name for name in names):
            if os.path.lexists(path):
                refuse(path)


def has_own_header(path: Path) -> bool:
    """Whether these are weights that minisam wrote."""
    from safetensors import SafetensorError, safe_open

    from minisam.checkpoint.checksum import OURS

    if not path.is_file():  # reading a pipe may never end
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return any(key.startswith(OURS) for key in file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def refuse(path: Path, option: str = "-o") -> None:
    raise OutputError(
        f"{path} was not written by minisam and is not replaced; choose another name with {option}"
    )

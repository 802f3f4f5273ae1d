"""Which tests run a line, by a coverage file that names the test of each line.

`pip install pytest-cov`, then this writes .coverage in some 20 minutes:

    pytest -n 0 --dist no --cov=minisam --cov-context=test --cov-report=
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def covering_tests(data: Path, source: Path, line: int) -> list[str]:
    """Node ids. Raises ImportError without coverage."""
    from coverage import CoverageData

    covered = CoverageData(str(data))
    covered.read()
    return those_that_run(covered.contexts_by_lineno(str(source)), line)


def those_that_run(by_line: Mapping[int, Sequence[str]], line: int) -> list[str]:
    """Those that run the line; for one that runs at the import alone, those that run any line of the file."""
    contexts = set(by_line.get(line, ()))
    if not any("::" in context for context in contexts):
        contexts = {context for contexts in by_line.values() for context in contexts}
    return sorted({context.rpartition("|")[0] for context in contexts if "::" in context})

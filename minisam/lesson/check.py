"""Is an answer correct?  It is compared with the reference on the project's cases; the first failure is explained.

minisam/lesson/fault.py says what correct means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minisam.lesson.diagnosis import diagnose
from minisam.lesson.exercise import Exercise, NotWrittenError, attempt
from minisam.lesson.fault import fault
from minisam.lesson.mistakes import Mistake
from minisam_kernels.lab.answers.absent import has_triton
from minisam_kernels.lab.answers.outcome import arguments
from minisam_kernels.lab.answers.process import Function

NEEDS_TRITON = "kernels need Linux with Triton"


@dataclass(frozen=True)
class Failure:
    """The first failed case, what is wrong there, and the possible misunderstanding."""

    case: str
    inputs: str
    what: str
    hint: str
    shape: tuple[int, ...] = ()
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None


@dataclass(frozen=True)
class Report:
    """The results of an answer; `reason` says why an answer counts as not written, or cannot be judged here."""

    exercise: str
    written: bool
    passed: tuple[str, ...]
    total: int
    failure: Failure | None = None
    reason: str = "it raises NotImplementedError"
    judged: bool = True

    @property
    def ok(self) -> bool:
        return self.written and self.failure is None


def check_answer(
    exercise: Exercise,
    function: Function,
    mistakes: Sequence[Mistake] = (),
    solution: str = "",
) -> Report:
    """Run a function on the exercise's cases, up to the first failure."""
    cases = [case.rounded(torch.float32) for case in exercise.cases()]
    if exercise.framework == "triton" and not has_triton():
        return Report(exercise.name, False, (), len(cases), reason=NEEDS_TRITON, judged=False)
    passed: list[str] = []
    for case in cases:
        try:
            answer = attempt(exercise, function, case)
        except NotWrittenError:
            return Report(exercise.name, False, tuple(passed), len(cases))
        wanted = exercise.expected(case.inputs, case.constants)
        what, place = fault(exercise, answer, wanted, case)
        if what:
            hint = diagnose(exercise, function, answer, what, wanted, case, cases, mistakes, solution)
            failure = Failure(
                case.name, sizes(case.inputs) or numbers(case.constants), what, hint, wanted.shape, **place
            )
            return Report(exercise.name, True, tuple(passed), len(cases), failure)
        passed.append(case.name)
    return Report(exercise.name, True, tuple(passed), len(cases))


def sizes(inputs: Mapping[str, np.ndarray]) -> str:
    """The arguments' names and shapes; for several arrays in one argument, their number."""
    parts = []
    for name, value in arguments(inputs).items():
        parts.append(
            f"{name} of {len(value)} arrays" if isinstance(value, dict) else f"{name} {list(value.shape)}"
        )
    return ", ".join(parts)


def numbers(constants: Mapping[str, Any]) -> str:
    """The same for a case without arrays; for a longer text, the number of its lines."""
    parts = []
    for name, value in constants.items():
        long = isinstance(value, str) and "\n" in value
        shown = getattr(value, "name", value)
        parts.append(f"{name} of {len(value.splitlines())} lines" if long else f"{name} {shown}")
    return ", ".join(parts)


def explain(report: Report) -> Iterator[str]:
    """The report as lines of text."""
    name = report.exercise
    if not report.judged:
        yield f"{name}: not judged here ({report.reason})"
    elif not report.written:
        yield f"{name}: not written yet ({report.reason})"
    elif report.failure is None:
        yield f"{name}: right, {report.total} of {report.total} cases: {', '.join(report.passed)}"
    else:
        failure = report.failure
        yield f"{name}: wrong"
        yield f"  right   {', '.join(report.passed) or 'no case before it'}"
        yield f"  case    {failure.case!r}, with {failure.inputs}"
        yield f"  found   {failure.what}"
        yield f"  hint    {failure.hint}"

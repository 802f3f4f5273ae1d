"""Is an answer correct?  It is compared with the reference on the project's cases; the first failure is explained.

Correct means, as for kernels: at most twice the error of the reference in float32, compared with float64
(minisam_kernels/lab/error_rule.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minisam.lesson.diagnosis import diagnose
from minisam.lesson.exercise import Attempt, Exercise, NotWrittenError, attempt
from minisam.lesson.mistakes import Mistake
from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.absent import has_triton
from minisam_kernels.lab.answers.call import arguments
from minisam_kernels.lab.answers.process import Function
from minisam_kernels.lab.error_rule import compare

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
            hint = diagnose(exercise, function, answer, wanted, case, cases, mistakes, solution)
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


def fault(exercise: Exercise, answer: Attempt, wanted: np.ndarray, case: Case) -> tuple[str, dict[str, Any]]:
    """The error of an answer in words, and its position; empty if there is none."""
    if answer.value is None:
        return answer.error, {}
    got = answer.value
    if got.shape != wanted.shape:
        return f"the shape is {list(got.shape)}, expected {list(wanted.shape)}", {}
    if got.dtype != np.float32:
        return f"it returns {got.dtype} for float32 inputs", {}
    small = {name: array.astype(np.float32) for name, array in case.inputs.items()}
    with np.errstate(all="ignore"):
        same_precision = torch.from_numpy(np.asarray(exercise.expected(small, case.constants)))
    verdict = compare("output", torch.from_numpy(np.array(got)), wanted, same_precision)
    if verdict.ok:
        return "", {}
    off = np.where(np.isfinite(got), np.abs(got - wanted), np.inf)
    bad = off > verdict.allowed
    index = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else verdict.where
    place = {"index": index, "expected": float(wanted[index]), "got": float(got[index])}
    if wanted.ndim == 0:
        return f"expected {place['expected']:.6g}, got {place['got']:.6g}", place
    what = (
        f"output {list(wanted.shape)}: {int(bad.sum())} of {wanted.size} values are wrong, the first at "
        f"{list(index)}: expected {place['expected']:.6g}, got {place['got']:.6g}"
    )
    return what, place


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

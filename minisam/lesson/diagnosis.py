"""From a wrong result to a helpful explanation.

First the catalogue: a function with the same results as a catalogued wrong answer on every case has the same
misunderstanding; otherwise one with the same results up to the first failure, unless the numbers are correct and only
their type is wrong.  Then general signs of an error: one number everywhere, an unchanged input, exchanged axes, a
factor, the correct numbers in wrong places, infinity.  Finally the first hint of the exercise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from minisam.lesson.exercise import Attempt, Exercise, NotWrittenError, attempt
from minisam.lesson.mistakes import Mistake
from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.process import Function


def diagnose(
    exercise: Exercise,
    function: Function,
    answer: Attempt,
    wanted: np.ndarray,
    case: Case,
    cases: Sequence[Case],
    mistakes: Sequence[Mistake],
    solution: str,
) -> str:
    """One or two sentences."""
    until_now = cases[: cases.index(case)]
    return (
        catalogued(exercise, function, answer, case, cases, mistakes, solution)
        or wrong_type(answer, wanted)
        or catalogued(exercise, function, answer, case, until_now, mistakes, solution)
        or symptom(answer, wanted, case)
        or f"Not one of the usual mistakes. {exercise.hints[0]}"
    )


def catalogued(
    exercise: Exercise,
    function: Function,
    answer: Attempt,
    case: Case,
    cases: Sequence[Case],
    mistakes: Sequence[Mistake],
    solution: str,
) -> str:
    """The catalogue's explanation of a wrong answer that agrees on the failed case and on all `cases`."""
    learners: dict[str, Attempt] = {case.name: answer}
    order = [case, *(other for other in cases if other is not case)]
    for mistake in mistakes:
        theirs = mistake.function(solution, exercise.name)
        for other in order:
            try:
                if other.name not in learners:
                    learners[other.name] = attempt(exercise, function, other)
                if not learners[other.name].same_as(attempt(exercise, theirs, other)):
                    break
            except NotWrittenError:
                break
        else:
            return mistake.says
    return ""


def wrong_type(answer: Attempt, wanted: np.ndarray) -> str:
    """The explanation for correct numbers that are not float32; empty for any other result."""
    got = answer.value
    if got is None or got.shape != wanted.shape or got.dtype == np.float32 or not _close(got, wanted):
        return ""
    return (
        "The numbers are right, their type is not: float32 together with whole numbers or float64 becomes float64. "
        "Give back the inputs' type."
    )


def symptom(answer: Attempt, wanted: np.ndarray, case: Case) -> str:
    """An explanation from one result alone, without knowing the exercise; empty if there is none."""
    got = answer.value
    if got is None:
        return _why_it_stops(answer.error)
    for name, array in case.inputs.items():
        if got.size == array.size and np.array_equal(got.ravel(), array.astype(np.float32).ravel()):
            return f"The input {name} comes back unchanged."
    if got.shape != wanted.shape:
        return _wrong_shape(got.shape, wanted.shape)
    if got.size > 1 and np.ptp(got) == 0:
        return f"Every value is {got.flat[0]:.6g}, for any input."
    if not np.isfinite(got).all():
        return "Some results are not finite: an exponential that overflows, 0 / 0, or memory that was never written."
    for axes in itertools.permutations(range(got.ndim)):
        turned = got.transpose(axes)
        if list(axes) != sorted(axes) and turned.shape == wanted.shape and _close(turned, wanted):
            return f"The values are right, but axes are exchanged: transpose{axes} would fix it."
    with np.errstate(all="ignore"):
        ratio = got[np.abs(wanted) > 1e-6] / wanted[np.abs(wanted) > 1e-6]
        shift = got - wanted
    if ratio.size > 1 and np.ptp(ratio) <= 1e-3 * abs(ratio.mean()):
        return (
            f"Every value is {ratio.mean():.4g} times what it should be: is a factor missing or there twice?"
        )
    if shift.size > 1 and np.ptp(shift) <= 1e-4 * abs(shift.mean()):
        return (
            f"Every value is off by {shift.mean():.4g}: is something added that should not be, or left out?"
        )
    if _close(np.sort(got, axis=None), np.sort(wanted, axis=None)):
        return (
            "The right numbers are all there, in wrong places: look at the order of axes and of flattening."
        )
    return ""


def _why_it_stops(error: str) -> str:
    if "outside its tensors" in error:
        return (
            "Some lane points beyond your tensors: look at the address and the mask of each load and store."
        )
    if "ends the program" in error:
        return "An answer hands its result back with return: leave out quit(), exit() and the like."
    if "does not end" in error:
        return "Which loop does not end? Print the values in its condition, with a small input."
    if "taking it from there" in error or "instead of computing" in error:
        return "Write down the computation itself; what it is compared with is no answer."
    if "saw no access" in error:
        return "The kernel that is launched reads and writes nothing: its body is still to be written."
    if any(words in error for words in ("broadcast", "size of tensor", "matmul", "mat1 and mat2", "reshape")):
        return (
            "Two shapes do not fit together: print them just before the line that stops. An axis of size 1, as "
            "[:, None] gives, stretches to any size."
        )
    return ""


def _wrong_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if sorted(got) == sorted(wanted):
        return "The sizes are right, their order is not: move the axes."
    if len(got) != len(wanted):
        return f"The result has {len(got)} axes and should have {len(wanted)}."
    return "Count how often each axis is cut, and what is left of it."


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, rtol=1e-3, atol=1e-5)

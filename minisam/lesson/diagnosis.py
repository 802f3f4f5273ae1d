"""From a wrong result to a helpful explanation.

First the catalogue (minisam/lesson/catalogue.py).  Then general signs of an error: another type, one number
everywhere, an unchanged input, infinity; and, if they hold in every case, exchanged axes, a factor, the correct numbers
in wrong places.  Finally the hint of the failed case, or the first one of the exercise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from minisam.lesson.catalogue import catalogued
from minisam.lesson.exercise import Attempt, Exercise, NotWrittenError, attempt
from minisam.lesson.fault import VALUES_RIGHT
from minisam.lesson.mistakes import Mistake
from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.process import Function

Result = tuple[Case, np.ndarray, np.ndarray]  # a case, the function's result, and the right one


def diagnose(
    exercise: Exercise,
    function: Function,
    answer: Attempt,
    what: str,
    wanted: np.ndarray,
    case: Case,
    cases: Sequence[Case],
    mistakes: Sequence[Mistake],
    solution: str,
) -> str:
    """One or two sentences about an answer that is wrong on the case; `what` is wrong there."""
    others = (result_on(exercise, function, other) for other in cases if other is not case)
    return (
        catalogued(exercise, function, answer, case, cases, mistakes, solution)
        or wrong_type(answer, wanted)
        or wrong_gradient(what)
        or symptom(answer, wanted, case, others, exercise.case_hints.get(case.name, ""))
        or f"Not one of the usual mistakes. {exercise.case_hints.get(case.name, exercise.hints[0])}"
    )


def result_on(exercise: Exercise, function: Function, case: Case) -> Result | None:
    """The function's result on a case, and the right one; None if there is no result."""
    try:
        got = attempt(exercise, function, case).value
    except NotWrittenError:
        return None
    return None if got is None else (case, got, exercise.expected(case.inputs, case.constants))


def wrong_type(answer: Attempt, wanted: np.ndarray) -> str:
    """The explanation for correct numbers that are not float32; empty for any other result."""
    got = answer.value
    if got is None or got.shape != wanted.shape or got.dtype == np.float32 or not _close(got, wanted):
        return ""
    if got.dtype == np.float64:
        why = "float32 together with whole numbers or float64 becomes float64."
    else:
        why = "a comparison gives booleans, and counting gives whole numbers."
    return f"The numbers are right, their type is not: {why} Give back the inputs' type."


def wrong_gradient(what: str) -> str:
    """The explanation for right values that cannot be trained through; empty for any other result."""
    if not what.startswith(VALUES_RIGHT):
        return ""
    return (
        "This function is trained through, so its gradient counts: detach(), item(), NumPy, torch.no_grad() and "
        "new tensors made of numbers cut it off, on all of the way back or on a part of it."
    )


def symptom(
    answer: Attempt, wanted: np.ndarray, case: Case, others: Iterable[Result | None] = (), case_hint: str = ""
) -> str:
    """An explanation from the results alone, without knowing the exercise; empty if there is none.

    `others` are the results on the other cases. What is said of every value or of all axes holds there, too. The hint
    of the case comes before a number of entries.
    """
    got = answer.value
    if got is None:
        return _why_it_stops(answer.error)
    unchanged = [name for name in case.inputs if got.size > 1 and _is_input(name, case, got)]
    turned = got.shape != wanted.shape and sorted(got.shape) == sorted(wanted.shape)
    results = list(others) if unchanged or turned else others
    for name in unchanged:
        if all(result is not None and _is_input(name, *result[:2]) for result in results):
            return f"The input {name} comes back unchanged."
    if got.shape != wanted.shape:
        if turned and all(result is not None and _same_sizes(*result[1:]) for result in results):
            return "The sizes are right, their order is not: move the axes."
        return _wrong_shape(got.shape, wanted.shape, case_hint)
    if got.size > 1 and np.ptp(got) == 0 and np.ptp(wanted) > 0:
        return f"Every value is {got.flat[0]:.6g} here."
    if not np.isfinite(got).all():
        return "Some results are not finite: an exponential that overflows, 0 / 0, or memory that was never written."
    found = [(law, says) for law, says in _laws(got, wanted) if law(got, wanted)]
    for result in results if found else ():
        found = [(law, says) for law, says in found if result and law(*result[1:])]
    return found[0][1] if found else ""


def _is_input(name: str, case: Case, got: np.ndarray) -> bool:
    """Whether the result has an input's numbers, in their order."""
    array = case.inputs[name].astype(np.float32)
    return got.size == array.size and np.array_equal(got.ravel(), array.ravel())


def _same_sizes(got: np.ndarray, wanted: np.ndarray) -> bool:
    return sorted(got.shape) == sorted(wanted.shape)


def _laws(got: np.ndarray, wanted: np.ndarray) -> list[tuple[Callable[[np.ndarray, np.ndarray], bool], str]]:
    """What results and right ones may have in common, with its explanation; factor and shift are those of this case."""
    found: list[tuple[Callable[[np.ndarray, np.ndarray], bool], str]] = [
        (
            _close,
            "The numbers are nearly right, and not as exact as float32 allows: look for a small number that stands in "
            "another place or has another size, such as an eps, and for a type of lower precision.",
        )
    ]
    for axes in itertools.permutations(range(got.ndim)):
        if list(axes) != sorted(axes):
            says = f"The values are right, but axes are exchanged: transpose{axes} would fix it."
            found.append((lambda a, b, axes=axes: _turned(a, b, axes), says))
    large = np.abs(wanted) > 1e-6
    if large.sum() > 1:
        factor = float((got[large] / wanted[large]).mean())
        says = f"Every value is {factor:.4g} times what it should be: is a factor missing or there twice?"
        found.append((lambda a, b: factor != 0 and _close(a, factor * b), says))
    if got.size > 1:
        shift = float((got - wanted).mean())
        says = f"Every value is off by {shift:.4g}: is something added that should not be, or left out?"
        found.append((lambda a, b: _spread(a, b, shift) <= 1e-4 * abs(shift), says))
    says = "The right numbers are all there, in wrong places: look at the order of axes and of flattening."
    found.append((lambda a, b: _close(np.sort(a, axis=None), np.sort(b, axis=None)), says))
    return found


def _spread(got: np.ndarray, wanted: np.ndarray, shift: float) -> float:
    """How far the largest difference is from the shift."""
    return float(abs(got - wanted - shift).max(initial=0)) if got.shape == wanted.shape else np.inf


def _turned(got: np.ndarray, wanted: np.ndarray, axes: tuple[int, ...]) -> bool:
    if got.ndim != len(axes):
        return False
    turned = got.transpose(axes)
    return turned.shape == wanted.shape and _close(turned, wanted)


def _why_it_stops(error: str) -> str:
    if "outside its tensors" in error:
        return (
            "Some lane points beyond your tensors: look at the address and the mask of each load and store."
        )
    if "ends the program" in error:
        return "An answer hands its result back with return: leave out quit(), exit() and the like."
    if "does not end" in error:
        return "Which loop does not end? Print the values in its condition, with a small input."
    if any(
        words in error
        for words in ("taking it from there", "instead of computing", "another program", "is watched")
    ):
        return "Write down the computation itself; what it is compared with is no answer."
    if "changes its input" in error:
        return "The caller still needs its array: +=, *= and x[...] = … write into it. Make a new one."
    if "requires grad" in error:
        return "A network is trained through this function: stay in torch, because NumPy has no gradients."
    if "it is in NumPy" in error:
        return "The task is in NumPy: write down what torch's function does."
    if "which the task excludes" in error:
        return "The result may be right; the task is to make it in another way. Read the text above the exercise again."
    if "by torch's operations" in error:
        return (
            "Compute with torch's operations on the tensors that are given: numbers of Python, arrays of NumPy and "
            "work in another thread are not seen here."
        )
    if "it computes with torch" in error or "its kernel has not stored" in error:
        return "torch may make and reshape tensors; what is computed, the kernel computes and stores."
    if "saw no access" in error:
        return (
            "The kernel that is launched reads and writes nothing: its grid has no program, or its body is still to "
            "be written."
        )
    if any(words in error for words in ("broadcast", "size of tensor", "matmul", "mat1 and mat2", "reshape")):
        return (
            "Two shapes do not fit together: print them just before the line that stops. An axis of size 1, as "
            "[:, None] gives, stretches to any size."
        )
    return ""


def _wrong_shape(got: tuple[int, ...], wanted: tuple[int, ...], case_hint: str) -> str:
    if len(got) != len(wanted):
        return f"The result has {len(got)} axes and should have {len(wanted)}."
    if case_hint:
        return f"Not one of the usual mistakes. {case_hint}"
    axis = next(axis for axis, (one, other) in enumerate(zip(got, wanted, strict=True)) if one != other)
    return (
        f"Axis {axis} has {got[axis]} {'entry' if got[axis] == 1 else 'entries'} here and should have {wanted[axis]}: "
        "what is counted twice, left out, or cut too often?"
    )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-5)

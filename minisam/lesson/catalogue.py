"""Which catalogued wrong answer is a learner's?

One that is right on the same cases and has the same wrong numbers on all others: numbers that are much closer to each
other than to the right ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from minisam.lesson.exercise import Attempt, Exercise, NotWrittenError, attempt
from minisam.lesson.fault import VALUES_RIGHT, fault
from minisam.lesson.mistakes import Mistake
from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.absent import has_triton, stand_in_for_triton
from minisam_kernels.lab.answers.process import Function

KEPT: dict[tuple[str, str, str], Judged] = {}
FUNCTIONS: dict[tuple[str, str], Function] = {}


@dataclass(frozen=True)
class Judged:
    """A result on one case in float32, what is wrong with it, and the right one."""

    answer: Attempt
    what: str
    wanted: np.ndarray


def catalogued(
    exercise: Exercise,
    function: Function,
    answer: Attempt,
    case: Case,
    cases: Sequence[Case],
    mistakes: Sequence[Mistake],
    solution: str,
) -> str:
    """The explanation of the catalogued mistake that agrees with the function on every case; empty if none does."""
    order = [case, *(other for other in cases if other is not case)]
    learners = {case.name: _judged(exercise, answer, case)}
    for mistake in mistakes:
        for other in order:
            if other.name not in learners:
                learners[other.name] = _judged(exercise, _attempt(exercise, function, other), other)
            if not _agree(learners[other.name], _of_catalogue(exercise, mistake, solution, other)):
                break
        else:
            return mistake.says
    return ""


def _judged(exercise: Exercise, answer: Attempt, case: Case) -> Judged:
    if answer.value is not None and answer.value.dtype.kind in "biuf":
        answer = replace(answer, value=answer.value.astype(np.float32))
    wanted = exercise.expected(case.inputs, case.constants)
    return Judged(answer, fault(exercise, answer, wanted, case)[0], wanted)


def _attempt(exercise: Exercise, function: Function, case: Case) -> Attempt:
    try:
        return attempt(exercise, function, case)
    except NotWrittenError:
        return Attempt(None, "it is not written")


def _of_catalogue(exercise: Exercise, mistake: Mistake, solution: str, case: Case) -> Judged:
    """The result of a catalogued wrong answer, which is computed once in a process."""
    place = (mistake.source(solution), exercise.name)
    key = (*place, case.name)
    if key not in KEPT:
        if place not in FUNCTIONS:
            with nullcontext() if has_triton() else stand_in_for_triton():
                FUNCTIONS[place] = mistake.function(solution, exercise.name)
        KEPT[key] = _judged(exercise, _attempt(exercise, FUNCTIONS[place], case), case)
    return KEPT[key]


def _agree(one: Judged, other: Judged) -> bool:
    if not one.what or not other.what:
        return one.what == other.what
    in_gradient = one.what.startswith(VALUES_RIGHT)
    if in_gradient != other.what.startswith(VALUES_RIGHT) or not one.answer.same_as(other.answer):
        return False
    ours, theirs = one.answer.value, other.answer.value
    if in_gradient or ours is None or theirs is None or theirs.shape != one.wanted.shape:
        return True
    with np.errstate(all="ignore"):
        apart, error = ours - theirs, theirs - one.wanted
    if not np.isfinite(apart).all() or not np.isfinite(error).all():
        return True
    return bool(np.linalg.norm(apart) <= 0.02 * np.linalg.norm(error))

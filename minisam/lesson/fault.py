"""The error of an answer on one case, in words: its value first, then the gradients that it has to have.

A value is correct, as for kernels, if it has at most twice the error of the reference in float32, compared with float64
(minisam_kernels/lab/error_rule.py).  A gradient g of an input x is compared along one direction d with the difference
quotient of the float64 reference f, for a gradient w of the output:

    ⟨g, d⟩ = ⟨w, f(x + h·d) - f(x - h·d)⟩ / 2h

An input that an answer does not use on a case has no gradient there, which is the same as zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minisam.lesson.exercise import Attempt, Exercise, output_gradient
from minisam_kernels.cases import Case
from minisam_kernels.lab.error_rule import compare

STEP, CLOSE = 1e-6, 2e-3
VALUES_RIGHT = "the values are right, but"


def fault(exercise: Exercise, answer: Attempt, wanted: np.ndarray, case: Case) -> tuple[str, dict[str, Any]]:
    """What is wrong, and the position of the first wrong value; empty if nothing is."""
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
        return wrong_gradient(exercise, answer, wanted, case), {}
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


def wrong_gradient(exercise: Exercise, answer: Attempt, wanted: np.ndarray, case: Case) -> str:
    """What is wrong with the gradients of the inputs in `exercise.differentiable`; empty if nothing is."""
    for name in exercise.differentiable:
        if not case.inputs[name].size:
            continue
        gradient = answer.gradients.get(name, np.zeros(1))
        direction = np.random.default_rng(1).standard_normal(case.inputs[name].shape)
        slope = slope_along(exercise, case, name, direction, output_gradient(wanted.shape))
        with np.errstate(all="ignore"):
            along = float((gradient.astype(np.float64) * direction).sum())
        size = max(float(np.linalg.norm(gradient)), abs(slope), 1e-3)
        if not abs(along - slope) <= CLOSE * size:
            if name not in answer.gradients:
                return f"{VALUES_RIGHT} it has no gradient for {name}"
            return (
                f"{VALUES_RIGHT} not the gradient for {name}: along a direction the output rises by "
                f"{slope:.6g}, and by {along:.6g} in the gradient"
            )
    return ""


def slope_along(
    exercise: Exercise, case: Case, name: str, direction: np.ndarray, weights: np.ndarray
) -> float:
    """The difference quotient of the reference."""
    ahead, behind = (
        exercise.expected({**case.inputs, name: case.inputs[name] + sign * STEP * direction}, case.constants)
        for sign in (1, -1)
    )
    return float((weights * (ahead - behind)).sum()) / (2 * STEP)

"""An exercise, and the result of a user's function for one of its cases.

A case is one of the project's (minisam_kernels.cases.Case): arrays in the order of the signature, then numbers.  The
function gets copies in float32, as NumPy arrays or torch tensors (minisam_kernels/lab/answers/call.py).  For a case
without arrays, the arguments are numbers or text, and the result is a number.  Triton kernels run between guard
bands, and in the interpreter the address of every active lane is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisam_kernels.cases import Case
from minisam_kernels.lab.answers.operations import LAYOUT
from minisam_kernels.lab.answers.outcome import Call, Outcome, arguments
from minisam_kernels.lab.answers.process import Function, outcome_of


@dataclass(frozen=True)
class Exercise:
    """A function to write or to fix, and the check of its results."""

    name: str
    task: str
    cases: Callable[[], list[Case]]
    reference: Callable[..., np.ndarray]
    hints: tuple[str, ...]
    framework: str = "numpy"  # or "torch" or "triton"
    find_the_bug: bool = False
    differentiable: tuple[str, ...] = ()
    """Inputs whose gradients are compared too."""
    banned: tuple[str, ...] = ()
    """torch's operations that the task excludes, by their names below autograd: "convolution"."""
    most_operations: int = 0
    """The most operations of torch for one call, where the task excludes loops; 0 for any number."""
    takes_torch: bool = False
    """Whether a task in NumPy may use torch, because it calls an earlier answer."""
    without: tuple[str, ...] = ()
    """Functions, and modules with all of theirs, that this answer may not call, although it can reach them."""
    unprojected: tuple[str, ...] = ()
    """Inputs that the task forbids to multiply by weights, alone or together with other inputs."""
    case_hints: Mapping[str, str] = field(default_factory=dict)
    """By the names of cases: the hint for an answer that fails there first."""

    def expected(self, inputs: Mapping[str, np.ndarray], constants: Mapping[str, Any]) -> np.ndarray:
        """The reference's result for a case's arrays and numbers."""
        return np.asarray(self.reference(**arguments(inputs), **constants))


@dataclass(frozen=True)
class Attempt:
    """An array, or a line that says why there is none."""

    value: np.ndarray | None
    error: str = ""
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)

    def same_as(self, other: Attempt) -> bool:
        """Whether two answers have the same result, correct or wrong."""
        if self.value is None or other.value is None:
            return _without_counts(self.error) == _without_counts(other.error)
        if self.value.shape != other.value.shape or set(self.gradients) != set(other.gradients):
            return False
        pairs = [
            (self.value, other.value),
            *((self.gradients[n], other.gradients[n]) for n in self.gradients),
        ]
        return all(np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True) for a, b in pairs)


def _without_counts(error: str) -> str:
    """The error without the number of stray lanes, which depends on the memory layout."""
    return re.sub(r"\d+ of (\d+) lanes", r"\1 lanes", error)


class NotWrittenError(Exception):
    """The function is still the stub."""


def attempt(exercise: Exercise, function: Function, case: Case) -> Attempt:
    """Call the function, here or in a separate process, on a case. Raises NotWrittenError for a stub."""
    arrays = {name: array.astype(np.float32) for name, array in case.inputs.items()}
    gradient = None
    if exercise.differentiable:
        gradient = output_gradient(exercise.expected(case.inputs, case.constants).shape)
    call = Call(arrays, case.constants, exercise.framework, gradient=gradient, without=exercise.without)
    outcome = outcome_of(function, call)
    if outcome.not_written:
        raise NotWrittenError
    if outcome.error:
        return Attempt(None, f"it {outcome.error}")
    tensors = exercise.framework != "numpy"
    for name, array in arrays.items():
        if name not in outcome.inputs or not np.array_equal(outcome.inputs[name], array, equal_nan=True):
            return Attempt(
                None, f"it changes its input {name}; work on a new {'tensor' if tensors else 'array'}"
            )
    return _value(exercise, outcome, case)


def _value(exercise: Exercise, outcome: Outcome, case: Case) -> Attempt:
    if not case.inputs and outcome.is_number and outcome.value is not None:
        return Attempt(np.array(outcome.value, dtype=np.float32))
    if exercise.framework == "numpy":
        wanted = "a NumPy array" if case.inputs else "a number"
        is_one = outcome.value is not None and not outcome.is_number
    else:
        wanted, is_one = "a tensor", outcome.value is not None
    if not is_one:
        return Attempt(None, f"it returns {_kind(outcome.kind)}, not {wanted}")
    error = _work_elsewhere(exercise, outcome, case)
    if error:
        return Attempt(None, error)
    if outcome.dtype == "torch.bfloat16":
        return Attempt(None, "it returns bfloat16 for float32 inputs")
    if outcome.gradient_error:
        return Attempt(None, f"its gradient cannot be computed: it {outcome.gradient_error}")
    return Attempt(outcome.value, gradients=outcome.gradients)


def output_gradient(shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of the output that the inputs' gradients are computed from: always the same, and not constant."""
    return np.random.default_rng(0).standard_normal(shape)


def _work_elsewhere(exercise: Exercise, outcome: Outcome, case: Case) -> str:
    """Whether the result was made by what the task excludes, in one line."""
    if exercise.framework == "numpy" and not exercise.takes_torch:
        computed = [name for name in outcome.operations if name not in LAYOUT]
        if case.inputs and computed:
            return f"it computes with torch ({', '.join(computed)}), which the task excludes: it is in NumPy"
    if exercise.framework == "triton":
        in_kernel = "the work is to be done in a function under @triton.jit"
        if not outcome.launches:
            return f"it launches no kernel: {in_kernel}"
        computed = [name for name in outcome.operations if name not in LAYOUT]
        if computed:
            return f"it computes with torch ({', '.join(computed)}): {in_kernel}"
        if not outcome.stored_by_kernel:
            return f"it returns values that its kernel has not stored: {in_kernel}"
    used = [name for name in outcome.operations if any(word in name for word in exercise.banned)]
    if used:
        return f"it uses torch's {', '.join(used)}, which the task excludes"
    if exercise.most_operations and outcome.operation_count > exercise.most_operations:
        return f"it calls torch {outcome.operation_count} times here, as a loop does, which the task excludes"
    if exercise.framework == "torch" and (exercise.banned or exercise.most_operations):
        lost = [name for name, array in case.inputs.items() if array.size and name not in outcome.made_of]
        if lost:
            return f"its result is not computed from {', '.join(lost)} by torch's operations"
    for pair in outcome.met:
        one, other = (part.split(", ") for part in pair.split(" * "))
        data = set(one) & set(exercise.unprojected) and not any(map(is_weight, one))
        if data and all(map(is_weight, other)):
            return f"it multiplies {' + '.join(sorted(one))} by {', '.join(other)}, which the task excludes"
    return ""


def is_weight(name: str) -> bool:
    """Whether an argument is one of the `weights` of a network."""
    return name.startswith("weights.")


def _kind(name: str) -> str:
    if name == "NoneType":
        return "nothing (is there a return?)"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"

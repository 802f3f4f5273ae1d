"""An exercise, and what somebody's function gives for one of its cases.

A case is the project's own (minisam_kernels.cases.Case): arrays in the order of the signature, then numbers.  The
function gets copies in float32, as NumPy arrays or torch tensors.  Arrays named "weights.norm.bias" and the like are
handed over together, as one argument `weights`: a dict with the key "norm.bias".  A case without arrays has numbers,
or text, and is answered by a number.  Triton kernels run between guard bands, and in the interpreter with the address
of every active lane checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minisam_kernels.cases import Case


@dataclass(frozen=True)
class Exercise:
    """A function to write, or to mend, and how its results are told right from wrong."""

    name: str
    task: str
    cases: Callable[[], list[Case]]
    reference: Callable[..., np.ndarray]
    hints: tuple[str, ...]
    framework: str = "numpy"  # or "torch" or "triton"
    find_the_bug: bool = False

    def expected(self, inputs: Mapping[str, np.ndarray], constants: Mapping[str, Any]) -> np.ndarray:
        """What the reference gives for a case's arrays and numbers."""
        return np.asarray(self.reference(**arguments(inputs), **constants))


@dataclass(frozen=True)
class Attempt:
    """An array, or the line that says why there is none."""

    value: np.ndarray | None
    error: str = ""

    def same_as(self, other: Attempt) -> bool:
        """Whether two answers do the same thing, right or wrong."""
        if self.value is None or other.value is None:
            return _without_counts(self.error) == _without_counts(other.error)
        if self.value.shape != other.value.shape:
            return False
        return np.allclose(self.value, other.value, rtol=1e-3, atol=1e-5, equal_nan=True)


def arguments(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name -> arguments by name: {"x": x, "weights.a": a, "weights.b": b} -> x and weights."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        group, _, key = name.partition(".")
        if key:
            found.setdefault(group, {})[key] = array
        else:
            found[name] = array
    return found


def _without_counts(error: str) -> str:
    """How many stray lanes hit another tensor by chance depends on where memory happened to be free."""
    return re.sub(r"\d+ of (\d+) lanes", r"\1 lanes", error)


class NotWrittenError(Exception):
    """The function is still the stub."""


def attempt(exercise: Exercise, function: Callable[..., Any], case: Case) -> Attempt:
    """Call the function on a case. Raises NotWrittenError for a stub."""
    arrays = {name: array.astype(np.float32) for name, array in case.inputs.items()}
    try:
        if exercise.framework == "numpy":
            return _numpy(function, arrays, case)
        return _torch(exercise.framework, function, arrays, case)
    except NotImplementedError as error:
        raise NotWrittenError from error


def _numpy(function: Callable[..., Any], arrays: dict[str, np.ndarray], case: Case) -> Attempt:
    given = {name: array.copy() for name, array in arrays.items()}
    try:
        with np.errstate(all="ignore"):
            value = function(*arguments(given).values(), *case.constants.values())
    except NotImplementedError:
        raise
    except Exception as error:
        return Attempt(None, f"it stops with {type(error).__name__}: {error}")
    for name, array in arrays.items():
        if not np.array_equal(array, given[name], equal_nan=True):
            return Attempt(None, f"it changes its input {name}; work on a new array")
    if not case.inputs and isinstance(value, (int, float, np.number)):
        value = np.array(value, dtype=np.float32)
    if not isinstance(value, np.ndarray):
        wanted = "a NumPy array" if case.inputs else "a number"
        return Attempt(None, f"it returns {_kind(value)}, not {wanted}")
    return Attempt(value)


def _torch(
    framework: str, function: Callable[..., Any], arrays: dict[str, np.ndarray], case: Case
) -> Attempt:
    from minisam_kernels.lab.check import CheckError, guarded
    from minisam_kernels.lab.memory_guard import fenced
    from minisam_kernels.launch import INTERPRETED

    device = "cuda" if framework == "triton" and not INTERPRETED else "cpu"
    given = {name: fenced(torch.tensor(array, device=device)) for name, array in arrays.items()}
    launches: list[int] = []

    def call() -> Any:
        watched = framework == "triton" and INTERPRETED
        with torch.no_grad(), np.errstate(all="ignore"), counted_launches(launches, watched):
            return function(*arguments(given).values(), *case.constants.values())

    try:
        value = guarded(call)
    except CheckError as error:
        if isinstance(error.__cause__, NotImplementedError):
            raise error.__cause__ from error
        return Attempt(None, f"it {error}")
    for name, array in arrays.items():
        if not np.array_equal(given[name].cpu().numpy(), array, equal_nan=True):
            return Attempt(None, f"it changes its input {name}; work on a new tensor")
    if not isinstance(value, torch.Tensor):
        return Attempt(None, f"it returns {_kind(value)}, not a tensor")
    if framework == "triton" and INTERPRETED and not launches:
        return Attempt(None, "it launches no kernel: the work is to be done in a function under @triton.jit")
    return Attempt(value.detach().cpu().numpy())


@contextmanager
def counted_launches(launches: list[int], watch: bool) -> Iterator[None]:
    """Adds one entry for each kernel that the interpreter runs."""
    from minisam_kernels.lab.memory_guard import watched_interpreter

    with ExitStack() as stack:
        if watch:
            stack.enter_context(watched_interpreter(lambda tensors: launches.append(1), lambda access: None))
        yield


def _kind(value: Any) -> str:
    if value is None:
        return "nothing (is there a return?)"
    return f"a {type(value).__name__}"

"""One call of a user's function, and its outcome.

    arrays -> copies, as NumPy arrays or torch tensors between guard bands -> function -> the returned value, the
    inputs after the call, the launched kernels, a second run, gradients

Nothing is judged here: an Outcome (outcome.py) records what happened.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minisam_kernels.lab.answers.borrowing import not_calling
from minisam_kernels.lab.answers.operations import Operations
from minisam_kernels.lab.answers.outcome import NUMBERS, Call, Outcome, arguments
from minisam_kernels.lab.answers.words import one_line, stops_with
from minisam_kernels.lab.as_on_a_gpu import Kindnesses, as_on_a_gpu
from minisam_kernels.lab.memory_guard import (
    Access,
    StrayAccess,
    checked_lanes,
    fenced,
    guard_bands,
    watched_interpreter,
)
from minisam_kernels.lab.races import RaceError, Races, checked_races

Function = Callable[..., Any]


def call_here(function: Function, call: Call) -> Outcome:
    """Run the function in this process."""
    return _in_numpy(function, call) if call.framework == "numpy" else _in_torch(function, call)


def _in_numpy(function: Function, call: Call) -> Outcome:
    given = {name: np.array(array) for name, array in call.arrays.items()}
    outcome, operations = Outcome(), Operations({})
    with np.errstate(all="ignore"), _noted(outcome, "error"):
        with operations:
            value = _called(function, given, call)
        outcome.operations = sorted(set(operations.names))
        outcome.kind = type(value).__name__
        outcome.is_number = isinstance(value, (int, float, np.number))
        if isinstance(value, np.ndarray) or outcome.is_number:
            outcome.value = np.array(value, subok=False)
            outcome.dtype = str(outcome.value.dtype)
    outcome.inputs = given
    return _numbers_alone(outcome)


def _in_torch(function: Function, call: Call) -> Outcome:
    interpreted = _is_interpreted() if call.framework == "triton" else True
    device = "cpu" if interpreted or not torch.cuda.is_available() else "cuda"
    given = {name: fenced(_tensor(array, call.dtype, device)) for name, array in call.arrays.items()}
    if call.gradient is not None:
        given = {name: tensor.requires_grad_(tensor.is_floating_point()) for name, tensor in given.items()}
    outcome = Outcome()
    watch_lanes = call.framework == "triton" and interpreted

    def run(where: str) -> Any:
        launches: list[int] = []
        stored: list[np.ndarray] = []
        operations, races, kindnesses = Operations(given), Races(), Kindnesses()
        result = None

        def note(access: Access) -> None:
            races.note(access)
            if access.values is not None:
                stored.append(access.values)

        def begin(tensors: list[Tensor]) -> None:
            launches.append(1)
            races.begin(tensors)

        with ExitStack() as stack:
            stack.enter_context(_noted(outcome, where))
            stack.enter_context(np.errstate(all="ignore"))
            stack.enter_context(torch.set_grad_enabled(call.gradient is not None))
            stack.enter_context(guard_bands())
            if watch_lanes:
                stack.enter_context(checked_lanes())
                stack.enter_context(watched_interpreter(begin, note))
                kindnesses = stack.enter_context(as_on_a_gpu(large=where != "error"))
            stack.enter_context(operations)
            result = _called(function, given, call)
            races.end()
        outcome.unset_lanes += kindnesses.unset
        outcome.tf32_products += kindnesses.tf32
        if where == "error":
            outcome.launches = len(launches) if watch_lanes else 1
            outcome.operations = sorted(set(operations.names))
            outcome.operation_count = len(operations.names)
            outcome.made_of = sorted(operations.made_of(result))
            outcome.met = sorted(
                f"{', '.join(sorted(a))} * {', '.join(sorted(b))}" for a, b in operations.met
            )
            if stored and isinstance(result, Tensor):
                values = _array(result)  # NaN where nothing was written
                outcome.stored_by_kernel = bool(
                    np.isin(values[values == values], np.concatenate(stored)).all()
                )
        return None if getattr(outcome, where) else result

    out = run("error")
    outcome.inputs = {name: _array(tensor) for name, tensor in given.items()}
    outcome.kind = type(out).__name__
    outcome.is_number = isinstance(out, (int, float))
    if outcome.error or not isinstance(out, Tensor):
        return outcome
    with torch._C.DisableTorchFunctionSubclass():  # a subclass may return anything
        outcome.dtype, outcome.device, outcome.differentiable = (
            str(out.dtype),
            out.device.type,
            out.requires_grad,
        )
        outcome.value = _read(out, outcome, "error")
    if call.twice and not outcome.error:
        again = run("again_error")
        with torch._C.DisableTorchFunctionSubclass():
            outcome.again = _read(again, outcome, "again_error") if isinstance(again, Tensor) else None
    if call.gradient is not None and outcome.differentiable and tuple(out.shape) == call.gradient.shape:
        _differentiate(out, given, call.gradient, watch_lanes, outcome)
    return _numbers_alone(outcome)


def _read(tensor: Tensor, outcome: Outcome, where: str) -> np.ndarray | None:
    try:
        return _array(tensor.as_subclass(Tensor))
    except Exception as error:
        setattr(outcome, where, f"returns a tensor that cannot be read: {one_line(error)}")
        return None


def _differentiate(
    out: Tensor, given: dict[str, Tensor], gradient: np.ndarray, watch_lanes: bool, outcome: Outcome
) -> None:
    """Gradients of the inputs that have one."""
    leaves = {name: tensor for name, tensor in given.items() if tensor.requires_grad}
    grad = torch.tensor(gradient, dtype=out.dtype, device=out.device)
    found, kindnesses = (), Kindnesses()
    with ExitStack() as stack:
        stack.enter_context(_noted(outcome, "gradient_error"))
        stack.enter_context(guard_bands())
        if watch_lanes:
            stack.enter_context(checked_lanes())
            stack.enter_context(checked_races())
            kindnesses = stack.enter_context(as_on_a_gpu())
        found = torch.autograd.grad(out, list(leaves.values()), grad, allow_unused=True)
    outcome.unset_lanes += kindnesses.unset
    outcome.tf32_products += kindnesses.tf32
    outcome.gradients = {
        name: _array(tensor) for name, tensor in zip(leaves, found, strict=False) if tensor is not None
    }


def _called(function: Function, given: Mapping[str, Any], call: Call) -> Any:
    values = (*arguments(given).values(), *call.constants.values())
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return function(*values)
    try:
        signature.bind(*values)
    except TypeError:
        names = ", ".join([*arguments(given), *call.constants])
        raise TypeError(f"it takes {signature}, but is called with ({names})") from None
    with not_calling(call.without):
        return function(*values)


@contextmanager
def _noted(outcome: Outcome, where: str) -> Iterator[None]:
    """Stores an exception that is raised inside, as one line, in that field of the outcome."""
    try:
        yield
    except NotImplementedError:
        outcome.not_written = True
        setattr(outcome, where, "is not written: it raises NotImplementedError")
    except StrayAccess as error:
        setattr(outcome, where, f"touches memory outside its tensors: {error}")
    except RaceError as error:
        setattr(outcome, where, f"has a race: {error}")
    except (Exception, SystemExit) as error:
        setattr(outcome, where, stops_with(error))


def _numbers_alone(outcome: Outcome) -> Outcome:
    """Refuses arrays of other types than numbers (objects, text)."""
    if outcome.value is not None and outcome.value.dtype.kind not in NUMBERS:
        outcome.error = f"returns an array of {outcome.dtype}, not of numbers"
        outcome.value = None
    return outcome


def _tensor(array: np.ndarray, dtype: str, device: str) -> Tensor:
    floating = array.dtype.kind == "f"
    return torch.tensor(array, dtype=getattr(torch, dtype) if floating else None, device=device)


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return np.array((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _is_interpreted() -> bool:
    from minisam_kernels.launch import INTERPRETED

    return INTERPRETED

"""Is somebody's own function right?  It is run on the cases that this project's kernels have to pass.

    inputs between guard bands, new tensors full of NaN  ->  function  ->  no stray access, no input changed,
    the output within the error rule, or equal where it counts, the same to the bit when run again, and, if it can
    be differentiated, every gradient within the error rule

The function takes what the operation of that name takes, in the same order: torch tensors, then numbers.  It may
use Triton or torch alone.  The first thing that is wrong ends the check, with the case, the index, both values and
the distance between them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minisam_kernels import dense
from minisam_kernels.cases import Case, cases, expected, expected_counts, gradients, output_gradient
from minisam_kernels.lab.error_rule import GRADIENT_FACTOR, Verdict, compare
from minisam_kernels.lab.memory_guard import StrayAccess, checked_lanes, fenced, guard_bands
from minisam_kernels.launch import INTERPRETED

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Function = Callable[..., Tensor]
Result = TypeVar("Result")


class LoadError(Exception):
    """The file is not there, cannot be run, or has no such function."""


@dataclass(frozen=True)
class Failure:
    """The first thing that was wrong."""

    case: str
    dtype: str
    what: str

    def explain(self) -> str:
        return f"case {self.case!r} in {self.dtype}: {self.what}"


@dataclass(frozen=True)
class Report:
    """How far the check came, whether gradients were looked at, and what stopped it, if anything did."""

    operation: str
    right: int
    total: int
    dtypes: tuple[str, ...]
    with_gradients: bool
    failure: Failure | None


def load_function(place: str) -> Function:
    """The function of "FILE.py:name".  The file is run, as Python would run it on import.

    Raises LoadError.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise LoadError(f"{place!r} names no function; write FILE.py:function")
    path = Path(file)
    if not path.is_file():
        raise LoadError(f"there is no file {file}")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise LoadError(f"{file} cannot be run: {one_line(error)}") from error
    finally:
        sys.path.pop(0)
    if not callable(getattr(module, name, None)):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise LoadError(f"{file} has no function {name!r}; it has {', '.join(names) or 'none'}")
    return getattr(module, name)


def default_dtypes() -> tuple[str, ...]:
    """What can be checked here: the interpreter computes bfloat16 wrongly."""
    return ("fp32", "fp16") if INTERPRETED or not torch.cuda.is_available() else ("fp32", "fp16", "bf16")


def check_function(
    function: Function, operation: str, dtypes: Sequence[str] | None = None, only: str = ""
) -> Report:
    """Run the operation's cases, those with `only` in their names, and stop at the first failure."""
    dtypes = tuple(dtypes or default_dtypes())
    chosen = [(case, dtype) for case in cases(operation) if only in case.name for dtype in dtypes]
    if not chosen:
        raise ValueError(f"{operation} has no case with {only!r} in its name")
    with_gradients = False
    for right, (case, dtype) in enumerate(tqdm(chosen, desc="checking", disable=None, leave=False)):
        try:
            with_gradients = check_case(function, case, DTYPES[dtype])
        except CheckError as error:
            failure = Failure(case.name, dtype, str(error))
            return Report(operation, right, len(chosen), dtypes, with_gradients, failure)
    return Report(operation, len(chosen), len(chosen), dtypes, with_gradients, None)


class CheckError(Exception):
    """One line that says what is wrong with a result."""


def check_case(function: Function, case: Case, dtype: torch.dtype) -> bool:
    """Raises CheckError at the first thing that is wrong; says whether gradients could be checked."""
    device = "cpu" if INTERPRETED or not torch.cuda.is_available() else "cuda"
    case = case.rounded(dtype)
    inputs = {name: fenced(tensor) for name, tensor in case.tensors(dtype, device).items()}
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    leaves = {name: tensor.requires_grad_(not case.counts) for name, tensor in inputs.items()}
    twins = {name: tensor.clone().requires_grad_(not case.counts) for name, tensor in before.items()}
    torchs = dense.OPERATIONS[case.operation](**twins, **case.constants)

    out = guarded(lambda: function(*leaves.values(), *case.constants.values()))
    for name, tensor in inputs.items():
        if not torch.equal(tensor, before[name]):
            raise CheckError(f"input {name} was written to")
    if not isinstance(out, Tensor):
        raise CheckError(f"returned {type(out).__name__}, wanted a tensor")
    wanted_type = torch.int32 if case.counts else dtype
    if out.dtype != wanted_type or out.device.type != device:
        raise CheckError(f"returned {out.dtype} on {out.device}, wanted {wanted_type} on {device}")
    if case.counts:
        require_equal("output", out, expected_counts(case, dtype))
    else:
        require(compare("output", out, expected(case), torchs))
    again = guarded(lambda: function(*leaves.values(), *case.constants.values()))
    if not torch.equal(out, again):
        raise CheckError("a second run gives other bits: programs write one place, or read what none wrote")

    if out.requires_grad:
        grad = torch.tensor(output_gradient(case), dtype=dtype, device=device)
        wanted = gradients(case, grad.double().cpu().numpy())
        magnitude = max(float(abs(array).max(initial=0)) for array in wanted.values())
        torchs_grads = torch.autograd.grad(torchs, list(twins.values()), grad)
        got = guarded(lambda: torch.autograd.grad(out, list(leaves.values()), grad, allow_unused=True))
        for name, mine, theirs in zip(leaves, got, torchs_grads, strict=True):
            if mine is None:
                raise CheckError(f"gradient of {name}: there is none")
            require(compare(f"gradient of {name}", mine, wanted[name], theirs, GRADIENT_FACTOR, magnitude))
    return out.requires_grad


def guarded(call: Callable[[], Result]) -> Result:
    """The call's result, or CheckError where it strays from its tensors or fails."""
    try:
        with ExitStack() as stack:
            stack.enter_context(guard_bands())
            if INTERPRETED:
                stack.enter_context(checked_lanes())
            return call()
    except StrayAccess as error:
        raise CheckError(f"touches memory outside its tensors: {error}") from error
    except Exception as error:
        raise CheckError(f"stops with {one_line(error)}") from error


def require(verdict: Verdict) -> None:
    if not verdict.ok:
        raise CheckError(verdict.explain())


def require_equal(name: str, got: Tensor, wanted: np.ndarray) -> None:
    """Raises CheckError unless these are the same whole numbers."""
    value = got.cpu().numpy()
    if value.shape != wanted.shape:
        raise CheckError(f"{name}: has shape {list(value.shape)}, wanted {list(wanted.shape)}")
    differ = np.argwhere(value != wanted)
    if len(differ):
        first = tuple(differ[0])
        numbers = f"{len(differ)} of {wanted.size} numbers" if wanted.size > 1 else "the number"
        at = f"the first at {[int(i) for i in first]}: got {value[first]}, wanted {wanted[first]}"
        raise CheckError(f"{name}: wrong in {numbers}, {at}")


def one_line(error: BaseException) -> str:
    """ "ValueError: what it says", its last line if there are several: that is where Triton puts the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"


def explain(report: Report) -> Iterator[str]:
    """The report for people."""
    if report.failure is not None:
        yield f"wrong: {report.failure.explain()}"
        yield f"{report.right} of {report.total} checks were right before it"
        return
    looked_at = "output and every gradient" if report.with_gradients else "output (it has no gradient)"
    yield f"right: {report.total} checks of {report.operation} in {', '.join(report.dtypes)}: {looked_at}"

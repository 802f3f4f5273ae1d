"""Is a user's function correct?  It is run on the cases that this project's kernels have to pass.

    inputs between guard bands, new tensors full of NaN  ->  function  ->  no stray access, no input changed,
    the output within the error rule (equal, if it is a count), the same bits in a second run, and, if it can be
    differentiated, every gradient within the error rule

The function has the arguments of the operation, in the same order: torch tensors, then numbers.  It may use Triton or
only torch.  The check ends at the first error, and reports the case, the index, both values and their difference.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minisam_kernels import dense
from minisam_kernels.cases import Case, cases, expected, expected_counts, gradients, output_gradient
from minisam_kernels.lab.answers.call import Call, Outcome
from minisam_kernels.lab.answers.process import (
    AnswerFile,
    AnswerFileError,
    AnswerFunction,
    Function,
    Rules,
    outcome_of,
)
from minisam_kernels.lab.answers.words import one_line
from minisam_kernels.lab.error_rule import GRADIENT_FACTOR, Verdict, compare
from minisam_kernels.launch import INTERPRETED

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
CLOSED = ("minisam.lesson", "minisam_kernels.reference", "minisam_kernels.cases", "minisam_kernels.dense")


class LoadError(Exception):
    """The file does not exist, cannot be run, or lacks the function."""


class ChoiceError(ValueError):
    """The operation, case or type does not exist, or cannot be checked on this machine."""


@dataclass(frozen=True)
class Failure:
    """The first error that was found."""

    case: str
    dtype: str
    what: str

    def explain(self) -> str:
        return f"case {self.case!r} in {self.dtype}: {self.what}"


@dataclass(frozen=True)
class Report:
    """How far the check came, whether gradients were compared, and the error that stopped it, if any."""

    operation: str
    right: int
    total: int
    dtypes: tuple[str, ...]
    with_gradients: bool
    failure: Failure | None
    launches: int = 0
    """How often kernels were launched; 0 for a function in torch alone. On a GPU, 1 for each case."""


def parts_of(place: str) -> tuple[str, str]:
    """ "FILE.py:name" -> the file, which exists, and the name.  Raises LoadError."""
    file, colon, name = place.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise LoadError(f"{place!r} names no function; write FILE.py:function")
    if not Path(file).exists():
        raise LoadError(f"there is no file {file}")
    if Path(file).suffix not in (".py", ".ipynb"):
        raise LoadError(f"{file} is not a Python file; its name must end in .py or .ipynb")
    return file, name


def load_function(place: str) -> Callable[..., Any]:
    """The function of "FILE.py:name", imported in this process: only for code that you trust.

    Raises LoadError.
    """
    file, name = parts_of(place)
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} cannot be imported; its name must end in .py")
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


@contextmanager
def loaded(place: str, rules: Rules) -> Iterator[AnswerFunction]:
    """The function of "FILE.py:name" in a separate process, which ends with this context.

    Raises LoadError.
    """
    file, name = parts_of(place)
    try:
        with AnswerFile(file, [name], replace(rules, closed=CLOSED)) as answers:
            answers.load()
            if answers.missing.get(name) == "missing":
                raise LoadError(
                    f"{file} has no function {name!r}; it has {', '.join(answers.names) or 'none'}"
                )
            if name in answers.missing:
                raise LoadError(f"{file}: {name} is {answers.missing[name]}")
            yield answers.function(name)
    except AnswerFileError as error:
        raise LoadError(str(error)) from error


def default_dtypes() -> tuple[str, ...]:
    """The types that can be checked here: the interpreter computes bfloat16 wrongly."""
    return ("fp32", "fp16") if INTERPRETED or not torch.cuda.is_available() else ("fp32", "fp16", "bf16")


def chosen_checks(
    operation: str, dtypes: Sequence[str] | None = None, only: str = ""
) -> list[tuple[Case, str]]:
    """The operation's cases with `only` in their names, each in every type.

    Raises ChoiceError if there is nothing to run, or if the type cannot be checked here.
    """
    dtypes = tuple(dtypes or default_dtypes())
    if "bf16" in dtypes and "bf16" not in default_dtypes():
        raise ChoiceError(
            "bf16 cannot be checked here: without a GPU kernels run in Triton's interpreter, which computes bfloat16 "
            "wrongly; use --dtype fp32 or fp16"
        )
    every = cases(operation)
    chosen = [(case, dtype) for case in every if only in case.name for dtype in dtypes]
    if not chosen:
        names = "; ".join(case.name for case in every)
        raise ChoiceError(f"{operation} has no case with {only!r} in its name; its cases are: {names}")
    return chosen


def check_function(
    function: Function, operation: str, dtypes: Sequence[str] | None = None, only: str = ""
) -> Report:
    """Run the chosen checks and stop at the first failure. Raises ChoiceError."""
    chosen = chosen_checks(operation, dtypes, only)
    dtypes = tuple(dtypes or default_dtypes())
    with_gradients, launches = False, 0
    for right, (case, dtype) in enumerate(tqdm(chosen, desc="checking", disable=None, leave=False)):
        try:
            outcome = check_case(function, case, DTYPES[dtype])
            with_gradients, launches = outcome.differentiable, launches + outcome.launches
        except CheckError as error:
            failure = Failure(case.name, dtype, str(error))
            return Report(operation, right, len(chosen), dtypes, with_gradients, failure, launches)
    return Report(operation, len(chosen), len(chosen), dtypes, with_gradients, None, launches)


class CheckError(Exception):
    """One line that describes an error in a result."""


def check_case(function: Function, case: Case, dtype: torch.dtype) -> Outcome:
    """Raises CheckError at the first error; returns the outcome of a call that had none."""
    device = "cpu" if INTERPRETED or not torch.cuda.is_available() else "cuda"
    case = case.rounded(dtype)
    twins = {name: t.requires_grad_(not case.counts) for name, t in case.tensors(dtype, device).items()}
    torchs = dense.OPERATIONS[case.operation](**twins, **case.constants)
    gradient = None if case.counts else output_gradient(case)
    outcome = outcome_of(
        function, Call(case.inputs, case.constants, "triton", _name(dtype), gradient, twice=True)
    )
    try:
        require_right(outcome, case, dtype, device, twins, torchs)
    except CheckError as error:
        raise CheckError(f"{error}{what_a_gpu_changed(outcome)}") from error
    return outcome


def require_right(
    outcome: Outcome, case: Case, dtype: torch.dtype, device: str, twins: Mapping[str, Tensor], torchs: Tensor
) -> None:
    """Raises CheckError at the first error of the output, a second run, or a gradient."""
    out = require_output(outcome, case, dtype, device)
    if case.counts:
        require_equal("output", out, expected_counts(case, dtype))
    else:
        require(compare("output", out, expected(case), torchs))
    if outcome.again_error:
        raise CheckError(outcome.again_error)
    if outcome.again is None or not np.array_equal(outcome.again, _array(out)):
        raise CheckError(
            "a second run gives other bits: programs write to one address, or read unwritten memory"
        )
    if outcome.differentiable:
        require_gradients(outcome, case, dtype, twins, torchs)


def what_a_gpu_changed(outcome: Outcome) -> str:
    """What may be the cause of an error, because the interpreter was made like a GPU; "" if it made no difference."""
    causes = []
    if outcome.unset_lanes:
        causes.append(
            "a load has a mask but no `other`: its masked lanes hold NaN or large numbers here, and anything on a GPU"
        )
    if outcome.tf32_products:
        causes.append(
            "tl.dot multiplied float32 as TF32, a GPU's default, with 10 bits of the significand: "
            'give it input_precision="ieee"'
        )
    return "".join(f"; {cause}" for cause in causes)


def require_output(outcome: Outcome, case: Case, dtype: torch.dtype, device: str) -> Tensor:
    """The output, on the CPU. Raises CheckError unless there is one of the right type, and the inputs are untouched."""
    if outcome.error:
        raise CheckError(outcome.error)
    for name, tensor in case.tensors(dtype).items():
        before, after = _array(tensor), outcome.inputs.get(name)
        if after is None or not np.array_equal(after, before, equal_nan=True):
            raise CheckError(f"input {name} was written to")
    if outcome.value is None:
        raise CheckError(f"returned {outcome.kind}, wanted a tensor")
    wanted = torch.int32 if case.counts else dtype
    if outcome.dtype != str(wanted) or outcome.device != device:
        raise CheckError(f"returned {outcome.dtype} on {outcome.device}, wanted {wanted} on {device}")
    require_written(outcome.value, outcome.dtype, case.counts)
    return torch.tensor(outcome.value).to(wanted)


def require_written(value: np.ndarray, dtype: str, counts: bool) -> None:
    """Raises CheckError if elements have all bits set, as in a new tensor; no kernel computes this NaN.

    A count of −1 has all bits set too, and is reported only if all counts are −1.
    """
    new = 0xFFFF0000 if dtype == "torch.bfloat16" else np.iinfo(f"u{value.itemsize}").max
    unwritten = value.view(f"u{value.itemsize}") == new
    if value.size and (unwritten.all() if counts else unwritten.any()):
        first = [int(i) for i in np.argwhere(unwritten)[0]]
        how_many = (
            "no value was ever"
            if unwritten.all()
            else f"{int(unwritten.sum())} of {value.size} values were never"
        )
        raise CheckError(f"output: {how_many} written, the first at {first}")


def require_gradients(
    outcome: Outcome, case: Case, dtype: torch.dtype, twins: Mapping[str, Tensor], torchs: Tensor
) -> None:
    """Raises CheckError unless every input has its gradient, within the error rule."""
    if outcome.gradient_error:
        raise CheckError(outcome.gradient_error)
    grad = torch.tensor(output_gradient(case), dtype=dtype, device=torchs.device)
    wanted = gradients(case, grad.double().cpu().numpy())
    magnitude = max(float(abs(array).max(initial=0)) for array in wanted.values())
    torchs_grads = torch.autograd.grad(torchs, list(twins.values()), grad)
    for name, theirs in zip(twins, torchs_grads, strict=True):
        if name not in outcome.gradients:
            raise CheckError(f"gradient of {name}: there is none")
        mine = torch.tensor(outcome.gradients[name]).to(dtype)
        require(compare(f"gradient of {name}", mine, wanted[name], theirs, GRADIENT_FACTOR, magnitude))


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


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _array(tensor: Tensor) -> np.ndarray:
    """A NumPy array of the tensor, with bfloat16 as float32."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def explain(report: Report) -> Iterator[str]:
    """The report as lines of text."""
    if report.failure is not None:
        yield f"wrong: {report.failure.explain()}"
        yield f"{report.right} of {report.total} checks passed before it"
        return
    looked_at = "output and every gradient" if report.with_gradients else "output (it has no gradient)"
    yield f"correct: {report.total} checks of {report.operation} in {', '.join(report.dtypes)}: {looked_at}"

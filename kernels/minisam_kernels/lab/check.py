"""Is a user's function correct?  It is run on the cases that this project's kernels have to pass.

    inputs between guard bands, new tensors full of NaN  ->  function  ->  no stray access, no input changed,
    the output within the error rule (equal, if it is a count), the same bits in a second run, and, if it can be
    differentiated, every gradient within the error rule

The function has the arguments of the operation, in the same order: torch tensors, then numbers.  It may use Triton or
only torch.  The check ends at the first error, and reports the case, the index, both values and their difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from minisam_kernels.cases import Case, cases
from minisam_kernels.lab.answers.process import Function
from minisam_kernels.lab.check_case import CheckError, check_case
from minisam_kernels.launch import INTERPRETED

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


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


def explain(report: Report) -> Iterator[str]:
    """The report as lines of text."""
    if report.failure is not None:
        yield f"wrong: {report.failure.explain()}"
        yield f"{report.right} of {report.total} checks passed before it"
        return
    looked_at = "output and every gradient" if report.with_gradients else "output (it has no gradient)"
    yield f"correct: {report.total} checks of {report.operation} in {', '.join(report.dtypes)}: {looked_at}"

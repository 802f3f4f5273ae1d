"""Would a GPU run a user's kernels?  A kernel that is right in the interpreter may not compile, or not fit.

    function  ->  the launches of its largest case, in every type  ->  compiled for sm_80 and sm_90

The interpreter is Python: it reads module globals, prints, multiplies blocks of 8 and adds float16 to float32. A
compiler does none of this. Compilation needs no GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from minisam_kernels.cases import Case
from minisam_kernels.lab.inspection import (
    USERS,
    Compiled,
    CompileError,
    Limits,
    Request,
    UnseenError,
    compiler,
    format_table,
)
from minisam_kernels.lab.occupancy import MULTIPROCESSORS

ARCHS = ("sm_80", "sm_90")
COLUMNS = ("kernel", "type", "GPU", "registers", "spilled B", "shared KB", "tensor cores")


@dataclass
class CompiledCheck:
    """What was compiled, the error that a GPU would stop with, and why nothing could be compiled."""

    case: str
    kernels: list[Compiled] = field(default_factory=list)
    dtype: str = ""
    error: str = ""
    unseen: str = ""


def check_compiled(
    place: str, operation: str, chosen: Sequence[Case], dtypes: Sequence[str], limits: Limits = USERS
) -> CompiledCheck:
    """Compile the launches of "FILE.py:function", forward and backward, and stop at the first error."""
    largest = max(chosen, key=lambda case: sum(array.size for array in case.inputs.values()))
    found = CompiledCheck(largest.name)
    with compiler(limits) as worker:
        for dtype in dtypes:
            for arch in ARCHS:
                request = Request(operation, dtype, 64, None, (arch,), place=place, case=largest.name)
                try:
                    kernels = worker.compile(request)
                except UnseenError as error:
                    found.unseen = str(error)
                    return found
                except CompileError as error:
                    reason = str(error).removeprefix(f"{place}: ")
                    found.dtype, found.error = dtype, f"does not compile for {arch}: {reason}"
                    return found
                found.kernels += kernels
                for item in kernels:
                    if error := too_much(item):
                        found.dtype, found.error = dtype, error
                        return found
    return found


def too_much(item: Compiled) -> str:
    """The error of a launch that needs more shared memory than a program may have; "" if it fits."""
    most = MULTIPROCESSORS[item.code.arch].shared_per_program
    if item.code.shared_bytes <= most:
        return ""
    needs = f"{item.code.shared_bytes / 1024:.1f} KB of shared memory on {item.code.arch}"
    return f"{item.kernel} needs {needs}, which has {most / 1024:.0f}; use smaller blocks or fewer stages"


def explain_compiled(found: CompiledCheck) -> Iterator[str]:
    """A row for each kernel, and what makes it slow."""
    if found.unseen:
        yield f"not compiled: {found.unseen}"
        return
    if not found.kernels:
        yield "no kernel was launched"
        return
    yield f"compiled without a GPU, case {found.case!r}:"
    rows = [
        (
            item.kernel,
            item.request.dtype,
            item.code.arch,
            str(item.code.registers),
            str(item.code.stack_bytes),
            f"{item.code.shared_bytes / 1024:.1f}",
            ", ".join(f"{unit}: {count}" for unit, count in item.code.tensor_core.items()) or "none",
        )
        for item in found.kernels
    ]
    yield format_table(COLUMNS, rows)
    if any(item.code.stack_bytes for item in found.kernels):
        yield "spills: values do not fit into the registers and go through memory; use smaller blocks or more warps"

"""A kernel's machine code as a table over its launches: registers, stack, shared memory, occupancy, instructions.

Compilation runs in another process (worker.py). It therefore also works while kernels are interpreted here, and for
GPUs that this machine does not have.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minisam_kernels.lab.machine_code import MachineCode

PACKAGES = str(Path(__file__).parents[2])
COLUMNS = (
    "launch",
    "kernel",
    "blocks",
    "warps",
    "stages",
    "registers",
    "stack B",
    "shared KB",
    "programs/SM",
    "occupancy",
    "limited by",
    "tensor cores",
    "loads, bits: count",
)


class CompileError(Exception):
    """A kernel did not compile; the message is one line."""


class UnseenError(CompileError):
    """The user's function could not be called without a GPU, and its launches are unknown; one line."""


@dataclass(frozen=True)
class Request:
    """One call of an operation to compile; with `launch` None the operation chooses.

    With `listing` the result includes the instructions as text; `only` names one of the kernels that it launches.
    `place`, "FILE.py:function", is a user's function that is called in the operation's place, with the shapes of the
    operation's case of the name `case`, or of the call in SAM. `batch` and `heads` are of the call of the operation.
    `trial` is a kernel of tuned_launches.py and the four sizes with which it is launched.
    """

    operation: str
    dtype: str
    head_dim: int
    launch: str | None
    archs: tuple[str, ...]
    listing: bool = False
    only: str | None = None
    place: str | None = None
    case: str | None = None
    batch: int | None = None
    heads: int | None = None
    trial: tuple[str, int, int, int, int] | None = None


@dataclass(frozen=True)
class Compiled:
    """One kernel of that call on one GPU; `numbers` are its integer arguments."""

    request: Request
    kernel: str
    grid: tuple[int, ...]
    constants: dict[str, object]
    num_stages: int
    code: MachineCode
    numbers: dict[str, int] = field(default_factory=dict)
    backward: bool = False


@dataclass(frozen=True)
class Limits:
    """For a process that runs a user's code: all its time, and memory beyond what it starts with (Linux, no GPU)."""

    seconds: float | None = None
    gigabytes: float | None = None


USERS = Limits(300.0, 4.0)
"""For one user's function; compiling takes a minute at most."""


class Compiler:
    """The process that compiles; it takes one request at a time."""

    def __init__(self, process: subprocess.Popen[str], limits: Limits) -> None:
        self.process, self.limits, self.is_late = process, limits, False

    def compile(self, request: Request) -> list[Compiled]:
        """Raises CompileError."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(OSError):  # if the process does not read, there is no answer either
            self.process.stdin.write(json.dumps(vars(request)) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._how_it_ended()}
        if "error" in answer:
            if answer.get("unseen"):
                raise UnseenError(answer["error"])
            what = request.place or f"{request.operation}, {request.dtype}, {request.launch}"
            raise CompileError(f"{what}: {answer['error']}")
        return [
            Compiled(
                request=request,
                kernel=kernel["kernel"],
                grid=tuple(kernel["grid"]),
                constants=kernel["constants"],
                num_stages=kernel["num_stages"],
                code=MachineCode.from_json(kernel["code"]),
                numbers=kernel["numbers"],
                backward=kernel["backward"],
            )
            for kernel in answer["kernels"]
        ]

    def end(self, late: bool = False) -> None:
        """End the process and every process that it started."""
        self.is_late = late
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _how_it_ended(self) -> str:
        code = self.process.wait()
        if self.is_late:
            return f"stopped after {self.limits.seconds:g} seconds"
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        limit = f"; its limit is {self.limits.gigabytes:g} GB of memory" if self.limits.gigabytes else ""
        return f"the compiling process has ended ({how}{limit})"


@contextmanager
def compiler(limits: Limits | None = None, packages: str = PACKAGES) -> Iterator[Compiler]:
    """A compiling process, which ends with this context.

    It never interprets, even if this process does, and imports minisam_kernels from the folder `packages`.
    """
    limits = limits or Limits()
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([packages, *filter(None, [environment.get("PYTHONPATH")])])
    # Triton 3.9 warns if this is not set.
    environment.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    command = [
        sys.executable,
        "-m",
        "minisam_kernels.lab.worker",
        *filter(None, [str(limits.gigabytes or "")]),
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        worker = Compiler(process, limits)
        timer = threading.Timer(limits.seconds or threading.TIMEOUT_MAX, worker.end, [True])
        timer.daemon = True
        timer.start()
        try:
            yield worker
        finally:
            timer.cancel()
            worker.end(worker.is_late)


def inspect(
    operation: str,
    dtype: str,
    head_dim: int,
    archs: Sequence[str],
    names: Sequence[str | None],
    place: str | None = None,
) -> list[Compiled]:
    """Every kernel, forward and backward, of every launch in `names`, or of a user's function.

    Raises CompileError.
    """
    compiled = []
    with compiler(USERS if place else None) as worker:
        for name in tqdm(names, desc="compiling", disable=None, leave=False):
            compiled += worker.compile(Request(operation, dtype, head_dim, name, tuple(archs), place=place))
    return compiled


def rows(compiled: Sequence[Compiled]) -> list[tuple[str, ...]]:
    """One row of COLUMNS for each kernel."""
    table = []
    for item in compiled:
        code = item.code
        blocks = " ".join(f"{key}={value}" for key, value in item.constants.items() if isinstance(value, int))
        units = ", ".join(f"{unit}: {count}" for unit, count in code.tensor_core.items()) or "none"
        table.append(
            (
                item.request.launch or "default",
                item.kernel,
                blocks,
                str(code.num_warps),
                str(item.num_stages),
                str(code.registers),
                str(code.stack_bytes),
                f"{code.shared_bytes / 1024:.1f}",
                str(code.programs_per_sm),
                f"{code.occupancy:.0%}",
                code.limited_by,
                units,
                code.widest_loads(),
            )
        )
    return table


def format_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table with columns as wide as their content."""
    widths = [max(len(row[place]) for row in [head, *body]) for place in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *body]
    ]
    return "\n".join(line.rstrip() for line in lines)

"""The launches of one kernel, tried one after the other: the right ones, and the fastest of them.

    on a GPU        each is compared with the reference first, and only what is right is timed
    without one     each is compiled; what spills or does not fit is left out, the others are ranked by the time that
                    prediction.py gives, which is not a measurement

Triton's own tuning keeps the fastest launch without looking at its result; here a wrong launch never wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from minisam_kernels.lab.bench import Call, Deadline, Timer, time_direction, wrong
from minisam_kernels.lab.gpus import Gpu
from minisam_kernels.lab.inspection import CompileError, Compiler, Request
from minisam_kernels.lab.occupancy import MULTIPROCESSORS
from minisam_kernels.lab.prediction import execution, multiprocessors, predict
from minisam_kernels.launch import Launch
from minisam_kernels.tuned_launches import TUNED, trying

KERNEL_NAMES = {
    "rel_pos_attention": "rel_pos_attention_kernel",
    "rel_pos_attention, d query": "query_gradient_kernel",
    "rel_pos_attention, d key": "key_gradient_kernel",
    "window_attention": "window_attention_kernel",
    "window_attention, backward": "window_attention_backward_kernel",
}
"""The jit function of each of TUNED."""
CANDIDATES = (
    Launch(64, 64, 4, 2),
    Launch(128, 64, 8, 2),
    Launch(64, 32, 4, 2),
    Launch(128, 32, 8, 2),
    Launch(32, 64, 4, 2),
    Launch(64, 64, 4, 1),
    Launch(128, 64, 8, 1),
    Launch(64, 32, 4, 1),
    Launch(16, 64, 4, 2),
    Launch(64, 16, 8, 1),
    Launch(32, 16, 4, 1),
    Launch(128, 64, 4, 2),
)
"""All hand-picked launches of 16-bit types are among them: what is tuned is never slower than what is not."""


@dataclass(frozen=True)
class Trial:
    """One launch: its time, measured or predicted, or why it is out."""

    launch: Launch
    milliseconds: float | None
    why_not: str = ""
    registers: int | None = None
    programs_per_multiprocessor: int | None = None
    instructions: int | None = None


def tried_on_device(
    kernel: str,
    every: Iterable[Launch],
    call: Call,
    function: Callable[..., Any],
    timer: Timer,
    deadline: Deadline,
) -> list[Trial]:
    """Compared with the reference, then timed; `call` and `function` are of the kernel's operation."""
    direction, found = TUNED[kernel][1], []
    for launch in every:
        if deadline.passed:
            break
        with trying(kernel, launch):
            try:
                complaint = wrong(call, call.run(function, direction), direction)
                milliseconds = None if complaint else time_direction(call, function, direction, timer)
            except Exception as error:  # what a GPU refuses: too much shared memory, a failed compilation
                complaint, milliseconds = str(error).splitlines()[0][:200], None
        found.append(Trial(launch, milliseconds, complaint))
    return fastest_first(found)


def tried_by_compiler(
    worker: Compiler, gpu: Gpu, kernel: str, every: Iterable[Launch], head_dim: int, dtype: str
) -> list[Trial]:
    """Compiled for the GPU and ranked by predicted time, for 8 images. Raises UnpredictedError for an unknown GPU."""
    arch, found = multiprocessors(gpu).arch, []
    for launch in every:
        request = Request(
            TUNED[kernel][0], dtype, head_dim, None, (arch,), only=KERNEL_NAMES[kernel], batch=8,
            trial=(kernel, *launch_sizes(launch)),
        )  # fmt: skip
        try:
            (compiled,) = worker.compile(request)
        except CompileError as error:
            found.append(Trial(launch, None, str(error)))
            continue
        code = compiled.code
        limit = MULTIPROCESSORS[arch].shared_per_program
        why_not = f"spills {code.stack_bytes} bytes" if code.stack_bytes else ""
        if code.shared_bytes > limit:
            why_not = f"{code.shared_bytes} bytes of shared memory, {limit} fit"
        run = execution(compiled)
        seconds = None if why_not else predict(gpu, run).seconds
        resources = (code.registers, code.programs_per_sm, run.turn.instructions)
        found.append(Trial(launch, None if seconds is None else 1e3 * seconds, why_not, *resources))
    return fastest_first(found)


def launch_sizes(launch: Launch) -> tuple[int, int, int, int]:
    return launch.block_m, launch.block_k, launch.num_warps, launch.num_stages


def fastest_first(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda one: (one.milliseconds is None, one.milliseconds or 0.0))


def table_rows(best: Mapping[str, Sequence[Trial]], head_dim: int, dtype: str) -> list[dict[str, Any]]:
    """The fastest right launch of each kernel, for tuned_launches.py; kernels without one are left out."""
    return [
        {"kernel": kernel, "head_dim": head_dim, "dtype": dtype, **asdict(trials[0].launch)}
        | {"milliseconds": trials[0].milliseconds}
        for kernel, trials in best.items()
        if trials and trials[0].milliseconds is not None
    ]


def trial_lines(kernel: str, trials: Sequence[Trial], how: str) -> list[str]:
    lines = [f"{kernel}: {how}"]
    for one in trials:
        m, k, warps, stages = launch_sizes(one.launch)
        what = f"  {m:4} x {k:3}  {warps} warps  {stages} stages  "
        time = one.why_not if one.milliseconds is None else f"{one.milliseconds * 1e3:9.1f} µs"
        resources = f"  {one.registers} registers, {one.programs_per_multiprocessor} at a time, "
        resources += f"{one.instructions} instructions a turn"
        lines.append(what + time + (resources if one.registers is not None else ""))
    return lines

"""The time that compiled kernels will take on a GPU, predicted from their machine code.

    instructions    programs · warps · instructions of a warp / (4 per clock and multiprocessor)
    exponentials    programs · warps · 32 · MUFU / exponential rate
    products        FLOP of the tensor-core instructions / their rate, which mma.sync does not reach on Hopper
    L2 cache        bytes of all loads and stores / L2 rate
    memory          bytes that have to move, as in roofline.py, / memory rate; for the longest launch of a direction

    dependent = products + max(instructions, exponentials)      one tile's steps wait for each other; loads run ahead
    predicted = max( the five, dependent / programs at a time on a multiprocessor )
                · share of the work of the busiest multiprocessor

Programs on the same multiprocessor fill each other's waits.  Not counted: latencies, shared memory, and what torch does
between launches. A prediction is therefore more often too short than too long, and never a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from minisam_kernels.lab.gpus import MULTIPROCESSORS, Gpu, Multiprocessors
from minisam_kernels.lab.inspection import Compiled, Compiler, Request
from minisam_kernels.lab.instructions import WARP, Counts
from minisam_kernels.lab.roofline import floor_on
from minisam_kernels.lab.turns import TURNS
from minisam_kernels.lab.work import Work
from minisam_kernels.lab.work_in_sam import MODELS
from minisam_kernels.mask_cases import COUNTING

ISSUED_PER_CLOCK = 4
CROSS_HEAD_DIM = 16
"""The head dim of the mask decoder's cross-attention, for every model."""


@dataclass(frozen=True)
class Execution:
    """All that one launch executes, from the compiled code; `turn` is one turn of its longest loop, for one warp."""

    kernel: str
    backward: bool
    programs: int
    warps: int
    registers: int
    programs_per_multiprocessor: int
    turn: Counts
    instructions: float
    exponentials: float
    wgmma_flop: float
    mma_flop: float
    l2_bytes: float


@dataclass(frozen=True)
class Prediction:
    """Seconds of one launch, by unit and in all."""

    instructions: float
    exponentials: float
    products: float
    l2_cache: float
    dependent: float
    programs_at_a_time: int
    unevenness: float
    seconds: float
    limit: str


class UnpredictedError(Exception):
    """There is no prediction for this kernel or GPU; one line."""


def execution(compiled: Compiled) -> Execution:
    """Raises UnpredictedError if the turns of the kernel's loops are not known or do not fit its machine code."""
    code, executed = compiled.code, compiled.code.executed
    if compiled.kernel not in TURNS:
        raise UnpredictedError(f"{compiled.kernel}: its work depends on values, or its loops are not known")
    sizes = {**compiled.numbers, **{k: v for k, v in compiled.constants.items() if isinstance(v, int)}}
    outside, *turns = TURNS[compiled.kernel](sizes)
    if len(turns) != len(executed.loops):
        raise UnpredictedError(
            f"{compiled.kernel}: {len(executed.loops)} loops in its machine code, {len(turns)} expected"
        )
    programs = prod(compiled.grid)
    parts = [(outside, executed.outside), *zip(turns, executed.loops, strict=True)]
    total = {
        name: float(programs * code.num_warps * sum(times * getattr(counts, name) for times, counts in parts))
        for name in asdict(executed.outside)
    }
    return Execution(
        kernel=compiled.kernel,
        backward=compiled.backward,
        programs=programs,
        warps=code.num_warps,
        registers=code.registers,
        programs_per_multiprocessor=code.programs_per_sm,
        turn=max(executed.loops, key=lambda loop: loop.instructions, default=executed.outside),
        instructions=total["instructions"],
        exponentials=total["exponentials"] * WARP,
        wgmma_flop=total["wgmma_flop"],
        mma_flop=total["mma_flop"],
        l2_bytes=total["bytes"],
    )


def predict(gpu: Gpu, run: Execution, memory_seconds: float = 0.0) -> Prediction:
    """Raises UnpredictedError for a GPU whose L2 cache's rate is not known."""
    sm = multiprocessors(gpu)
    instructions = run.instructions / (ISSUED_PER_CLOCK * sm.number * sm.hertz)
    exponentials = run.exponentials / gpu.exponentials
    products = (run.wgmma_flop + run.mma_flop / sm.mma_share) / gpu.products
    most = -(-run.programs // sm.number)
    at_a_time = max(1, min(run.programs_per_multiprocessor, most))
    dependent = products + max(instructions, exponentials)
    units = {
        "instructions": instructions,
        "exponentials": exponentials,
        "products": products,
        "L2 cache": run.l2_bytes / sm.l2_bytes,
        "memory": memory_seconds,
        "waiting": dependent / at_a_time,
    }
    limit = max(units, key=lambda unit: units[unit])
    unevenness = most * sm.number / run.programs
    return Prediction(
        instructions=instructions,
        exponentials=exponentials,
        products=products,
        l2_cache=units["L2 cache"],
        dependent=dependent,
        programs_at_a_time=at_a_time,
        unevenness=unevenness,
        seconds=units[limit] * unevenness,
        limit=limit,
    )


def multiprocessors(gpu: Gpu) -> Multiprocessors:
    """Raises UnpredictedError."""
    if gpu.name not in MULTIPROCESSORS:
        known = ", ".join(MULTIPROCESSORS)
        raise UnpredictedError(f"no prediction for {gpu.name}, whose L2 rate is not known here; use {known}")
    return MULTIPROCESSORS[gpu.name]


def compile_call(
    worker: Compiler, gpu: Gpu, kernel: str, model: str, batch: int, dtype: str, launch: str | None = None
) -> list[Compiled]:
    """Every launch of a kernel, forward and backward, as SAM calls it.

    Raises UnpredictedError, and CompileError if it does not compile.
    """
    if kernel in COUNTING:
        raise UnpredictedError(f"{kernel}: how much it computes depends on the masks")
    heads, head_dim = MODELS[model]
    arch = multiprocessors(gpu).arch
    head_dim = CROSS_HEAD_DIM if kernel == "cross_attention" else head_dim
    return worker.compile(Request(kernel, dtype, head_dim, launch, (arch,), batch=batch, heads=heads))


def predict_direction(
    gpu: Gpu, compiled: Sequence[Compiled], work: Work, backward: bool
) -> list[tuple[Execution, Prediction]]:
    """The launches of one direction; `work` is this direction's. Raises UnpredictedError."""
    runs = [execution(one) for one in compiled if one.backward == backward]
    if not runs:
        raise UnpredictedError(f"{work.name}: torch computes its backward")
    alone = [predict(gpu, run).seconds for run in runs]
    memory = floor_on(gpu, work).bytes
    longest = alone.index(max(alone))
    return [(run, predict(gpu, run, memory if place == longest else 0.0)) for place, run in enumerate(runs)]


def prediction_lines(gpu: Gpu, predicted: Sequence[tuple[Execution, Prediction]], floor: float) -> list[str]:
    """The calculation, launch by launch, and the sum beside the floor."""
    sm, lines = multiprocessors(gpu), []
    for run, found in predicted:
        in_turn = run.turn
        lines += [
            f"  {run.kernel}: {run.programs} programs of {run.warps} warps, {run.registers} registers, "
            f"{found.programs_at_a_time} at a time on each of {sm.number} multiprocessors",
            f"    a turn of a warp: {in_turn.instructions} instructions, {in_turn.exponentials} exponentials, "
            f"{in_turn.barriers} barriers",
            f"    instructions {us(found.instructions)}, exponentials {us(found.exponentials)}, products "
            f"{us(found.products)}, L2 cache {us(found.l2_cache)} ({run.l2_bytes / 1e9:.3g} GB), "
            f"waiting {us(found.dependent / found.programs_at_a_time)}",
            f"    predicted {us(found.seconds)} ({found.limit}), {found.unevenness:.2f} for uneven multiprocessors",
        ]
    total = sum(found.seconds for _, found in predicted)
    return [*lines, f"  predicted {us(total)}, {total / floor:.1f} times the floor; not measured"]


def us(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e6:.0f} µs"


def records(predicted: Sequence[tuple[Execution, Prediction]]) -> list[dict[str, Any]]:
    """For JSON: what each launch executes, and its times in seconds."""
    return [{**asdict(run), "predicted": asdict(found)} for run, found in predicted]

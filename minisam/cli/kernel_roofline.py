"""`minisam kernel roofline`: the least time, with the calculation, and how close the user's function comes to it.

With --predict also the time that our compiled kernels will take, predicted from their machine code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minisam.cli.kernel_names import KERNELS, Named, named
from minisam.cli.outputs import check_output
from minisam.errors import CommandError

if TYPE_CHECKING:
    from minisam_kernels.lab.gpus import Gpu
    from minisam_kernels.lab.prediction import Execution, Prediction
    from minisam_kernels.lab.work import Work

FIGURES = (".png",)


def run_roofline(args: argparse.Namespace) -> int:
    from minisam.files import write_atomically
    from minisam_kernels.lab.gpus import GPUS as RATES
    from minisam_kernels.lab.results import rounded
    from minisam_kernels.lab.roofline import floor_on, working
    from minisam_kernels.lab.roofline_figure import Point, measured_points, save_roofline_figure
    from minisam_kernels.lab.work_in_sam import directions_of, work_of

    if args.out is not None:
        check_output(args.out, suffixes=FIGURES)
    gpu, kernel = RATES[args.gpu], named(args)
    if args.predict and kernel.place:
        raise CommandError("--predict is for our kernels: how often your loops turn is not known")
    kernel.check_place()
    kernels = [kernel.operation] if kernel.operation else list(KERNELS)
    works = {
        (kernel, direction): work_of(kernel, args.model, args.batch, args.dtype, direction == "backward")
        for kernel in kernels
        for direction in directions_of(kernel)
    }
    floors = {key: floor_on(gpu, work) for key, work in works.items()}
    predicted = predictions(gpu, works, args) if args.predict else {}
    if args.json:
        records = [
            {"kernel": kernel, "direction": direction, "limit": floor.limit, "floor_seconds": floor.floor}
            | {"serial_seconds": floor.serial}
            | (predicted[kernel, direction].record() if args.predict else {})
            for (kernel, direction), floor in floors.items()
        ]
        document = {"gpu": gpu.name, "source": gpu.source} | (made_by(args) if args.predict else {})
        print(json.dumps(rounded({**document, "floors": records}), indent=1))
    elif args.kernel:
        for key, work in works.items():
            print("\n".join([f"{key[1]}:", *working(gpu, work)]))
            if args.predict:
                print("\n".join(predicted[key].lines(gpu, floors[key].floor)))
        if kernel.place:
            print("\n".join(measured_lines(kernel, args.model, args.batch)))
    else:
        title = "floors, and predictions from the machine code, not measured" if args.predict else "floors"
        print(f"{gpu.name}, {args.model}, batch {args.batch}, {args.dtype}: {title}")
        for (kernel, direction), floor in floors.items():
            time = f"  {predicted[kernel, direction].short()}" if args.predict else ""
            print(f"  {kernel:18} {direction:9} {floor.floor * 1e6:9.1f} µs  {floor.limit:12}{time}".rstrip())
        print(f"rates: {gpu.source}")
    if args.out is not None:
        measured = measured_points(gpu, args.model, args.batch, args.dtype)
        points = [Point(f"{k} {d}", work, measured.get((k, d))) for (k, d), work in works.items()]
        drawn = [point for point in points if point.work.total("products")]
        write_atomically(args.out, lambda file: save_roofline_figure(file, gpu, drawn))
        print(args.out, file=sys.stderr if args.json else sys.stdout)
    return 0


@dataclass(frozen=True)
class Predicted:
    """One direction of a kernel: its launches, or why there is no prediction."""

    launches: list[tuple[Execution, Prediction]]
    why_not: str = ""

    @property
    def seconds(self) -> float:
        return sum(one.seconds for _, one in self.launches)

    def short(self) -> str:
        return (
            f"no prediction ({self.why_not})" if self.why_not else f"{self.seconds * 1e6:9.1f} µs predicted"
        )

    def lines(self, gpu: Gpu, floor: float) -> list[str]:
        from minisam_kernels.lab.prediction import prediction_lines

        return [f"  {self.short()}"] if self.why_not else prediction_lines(gpu, self.launches, floor)

    def record(self) -> dict[str, Any]:
        from minisam_kernels.lab.prediction import records

        if self.why_not:
            return {"predicted_seconds": None, "why_not": self.why_not}
        return {"predicted_seconds": self.seconds, "launches": records(self.launches)}


def predictions(
    gpu: Gpu, works: Mapping[tuple[str, str], Work], args: argparse.Namespace
) -> dict[tuple[str, str], Predicted]:
    """By kernel and direction. Raises CommandError for a GPU without a rate of the L2 cache."""
    from tqdm import tqdm

    from minisam_kernels.lab.inspection import CompileError, compiler
    from minisam_kernels.lab.prediction import (
        UnpredictedError,
        compile_call,
        multiprocessors,
        predict_direction,
    )

    try:
        multiprocessors(gpu)
    except UnpredictedError as error:
        raise CommandError(str(error)) from error
    found, compiled = {}, {}
    with compiler() as worker:
        for (kernel, direction), work in tqdm(works.items(), desc="compiling", disable=None, leave=False):
            try:
                if kernel not in compiled:
                    call = (kernel, args.model, args.batch, args.dtype)
                    compiled[kernel] = compile_call(worker, gpu, *call)
                launches = predict_direction(gpu, compiled[kernel], work, direction == "backward")
                found[kernel, direction] = Predicted(launches)
            except (UnpredictedError, CompileError) as error:
                found[kernel, direction] = Predicted([], str(error))
    return found


def made_by(args: argparse.Namespace) -> dict[str, Any]:
    """What a file of predictions has to say about itself."""
    from minisam.bench.measure import commit, versions
    from minisam_kernels.lab.gpus import MULTIPROCESSORS

    call = {"model": args.model, "batch": args.batch, "dtype": args.dtype}
    says = {"measured": False, "l2_source": MULTIPROCESSORS[args.gpu].source}
    return {**says, **call, "versions": versions("triton"), "commit": commit()}


def measured_lines(kernel: Named, model: str, batch: int) -> list[str]:
    """How close the user's function comes to the floor of this machine's GPU."""
    import torch

    if not torch.cuda.is_available():
        return [f"{kernel.place}: not measured, because this machine has no CUDA device"]
    from minisam.bench.kernels import fractions_of_floor

    return fractions_of_floor(kernel.operation, kernel.function(), kernel.title, model, batch)

"""`minisam kernel roofline`: the least time, with the calculation, and how close the user's function comes to it."""

from __future__ import annotations

import argparse
import json
import sys

from minisam.cli.kernel_names import KERNELS, Named, named
from minisam.cli.outputs import check_output

FIGURES = (".png",)


def run_roofline(args: argparse.Namespace) -> int:
    from minisam.files import write_atomically
    from minisam_kernels.lab.gpus import GPUS as RATES
    from minisam_kernels.lab.roofline import floor_on, working
    from minisam_kernels.lab.roofline_figure import Point, measured_points, save_roofline_figure
    from minisam_kernels.lab.work import directions_of, work_of

    if args.out is not None:
        check_output(args.out, suffixes=FIGURES)
    gpu, kernel = RATES[args.gpu], named(args)
    kernel.check_place()
    kernels = [kernel.operation] if kernel.operation else list(KERNELS)
    works = {
        (kernel, direction): work_of(kernel, args.model, args.batch, args.dtype, direction == "backward")
        for kernel in kernels
        for direction in directions_of(kernel)
    }
    floors = {key: floor_on(gpu, work) for key, work in works.items()}
    if args.json:
        records = [
            {"kernel": kernel, "direction": direction, "limit": floor.limit, "floor_seconds": floor.floor}
            | {"serial_seconds": floor.serial}
            for (kernel, direction), floor in floors.items()
        ]
        print(json.dumps({"gpu": gpu.name, "source": gpu.source, "floors": records}, indent=1))
    elif args.kernel:
        for (_, direction), work in works.items():
            print("\n".join([f"{direction}:", *working(gpu, work)]))
        if kernel.place:
            print("\n".join(measured_lines(kernel, args.model, args.batch)))
    else:
        print(f"{gpu.name}, {args.model}, batch {args.batch}, {args.dtype}: floors")
        for (kernel, direction), floor in floors.items():
            print(f"  {kernel:18} {direction:9} {floor.floor * 1e6:9.1f} µs  {floor.limit}")
        print(f"rates: {gpu.source}")
    if args.out is not None:
        measured = measured_points(gpu, args.model, args.batch, args.dtype)
        points = [Point(f"{k} {d}", work, measured.get((k, d))) for (k, d), work in works.items()]
        drawn = [point for point in points if point.work.total("products")]
        write_atomically(args.out, lambda file: save_roofline_figure(file, gpu, drawn))
        print(args.out, file=sys.stderr if args.json else sys.stdout)
    return 0


def measured_lines(kernel: Named, model: str, batch: int) -> list[str]:
    """How close the user's function comes to the floor of this machine's GPU."""
    import torch

    if not torch.cuda.is_available():
        return [f"{kernel.place}: not measured, because this machine has no CUDA device"]
    from minisam.bench.kernels import fractions_of_floor

    return fractions_of_floor(kernel.operation, kernel.function(), kernel.title, model, batch)

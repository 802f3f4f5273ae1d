"""`minisam kernel`: the lab in which kernels are checked, inspected, timed and drawn.

check FILE.py:function --like rel_pos_attention    is your kernel correct, and does it stay in bounds
inspect KERNEL --arch sm_90 --dtype bf16           its machine code, launch by launch; needs no GPU
roofline [KERNEL] --gpu H100                       the least time it can take, with the calculation
trace KERNEL -o trace.png                          which program accesses which elements of which tensor
bench                                              our kernels and all peers; needs a GPU
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

from minisam.cli.limits import add_limits, show_prints
from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output
from minisam.cli.replaceable import check_replaceable_pair
from minisam.errors import CommandError, KernelFileError, MinisamError

ARGUMENTS = {
    "softmax": "x, scale",
    "attention": "q, k, v, scale",
    "cross_attention": "q, k, v, scale",
    "rel_pos_attention": "q, k, v, rel_h, rel_w, scale",
    "window_attention": "qkv, qkv_bias, rel_pos_h, rel_pos_w, num_heads, window_size",
    "token_to_image": "rows, image, image_pe, scale",
    "image_to_token": "image, image_pe, rows, offsets, values, weight, bias, scale, eps",
    "mask_statistics": "low_res, row_first, row_weights, column_first, column_weights, lower, middle, upper",
    "mask_bits": "low_res, row_first, row_weights, column_first, column_weights, threshold",
}
KERNELS = tuple(ARGUMENTS)
ARCHS = ("sm_80", "sm_89", "sm_90", "sm_100", "gfx942")
DTYPES = ("fp32", "fp16", "bf16")
MODELS = ("vit_b", "vit_l", "vit_h")
GPUS = ("H200", "H100", "A100", "B200", "RTX4090", "L4", "T4")
FIGURES = (".png",)
WRONG = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tools = parser.add_subparsers(dest="tool", metavar="TOOL", required=True, help="what to do with kernels")
    check = tools.add_parser(
        "check",
        help="compare your own kernel with the reference",
        epilog="The function is called as "
        + "; ".join(f"{name}({arguments})" for name, arguments in ARGUMENTS.items())
        + ". kernels/README.md explains them.",
    )
    check.add_argument("function", metavar="FILE.py:function", help="a .py file or a notebook")
    check.add_argument("--like", choices=KERNELS, required=True, help="the operation that it should compute")
    check.add_argument(
        "--dtype", choices=DTYPES, action="append", help="default: all that can be checked here"
    )
    check.add_argument("--case", default="", metavar="TEXT", help="only the cases with TEXT in their names")

    add_limits(check)

    inspect = tools.add_parser("inspect", help="registers, spills, shared memory, instructions; needs no GPU")
    inspect.add_argument("kernel", choices=KERNELS, help="one of ours")
    inspect.add_argument(
        "--arch", choices=ARCHS, default="sm_90", help="the GPU to compile for (default: sm_90)"
    )
    inspect.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the tensors (default: bf16)")
    inspect.add_argument(
        "--head-dim", type=number_from(1), default=64, metavar="D", help="channels of a head (default: 64)"
    )
    inspect.add_argument("--launch", action="append", help="default: every launch of the kernel")

    roofline = tools.add_parser("roofline", help="the least time a kernel can take, with the calculation")
    roofline.add_argument("kernel", choices=KERNELS, nargs="?", help="default: a table of all of them")
    roofline.add_argument(
        "--gpu", choices=GPUS, default="H100", help="the GPU whose rates are used (default: H100)"
    )
    roofline.add_argument(
        "--model", choices=MODELS, default="vit_b", help="the network whose sizes are used (default: vit_b)"
    )
    roofline.add_argument("--batch", type=number_from(1), default=8, help="images at once (default: 8)")
    roofline.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the tensors (default: bf16)")
    roofline.add_argument("-o", "--out", type=Path, metavar="FILE", help="draw the roofline there, as a PNG")

    trace = tools.add_parser("trace", help="a figure of which program accesses which elements")
    trace.add_argument("kernel", choices=KERNELS, help="one of ours")
    trace.add_argument("--backward", action="store_true", help="also the kernels of the backward")
    trace.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("trace.png"),
        help="the figure (default: trace.png)",
    )

    bench = tools.add_parser("bench", help="our kernels and all peers, on this machine's GPU")
    bench.add_argument("--quick", action="store_true", help="only ViT-B, batch 8, no compiled peers")
    bench.add_argument(
        "--minutes", type=float, default=7.5, help="start no new measurement after that (default: 7.5)"
    )
    bench.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="default: kernels/benchmarks/DEVICE.json"
    )
    for tool in (check, inspect, roofline, bench):
        tool.add_argument("--json", action="store_true", help="print JSON")
    for tool in (check, inspect, roofline, trace, bench):
        tool.add_argument("--debug", action="store_true", help="show the full trace of an error")


def run(args: argparse.Namespace) -> int:
    if importlib.util.find_spec("triton") is None:
        raise MinisamError("the kernel lab needs triton: pip install triton, on Linux")
    # Triton 3.9 warns if this is not set.
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    return {
        "check": run_check,
        "inspect": run_inspect,
        "roofline": run_roofline,
        "trace": run_trace,
        "bench": run_bench,
    }[args.tool](args)


def run_check(args: argparse.Namespace) -> int:
    interpret_without_gpu()
    from dataclasses import asdict

    from minisam_kernels.lab.answers.process import Rules
    from minisam_kernels.lab.check import (
        ChoiceError,
        LoadError,
        check_function,
        chosen_checks,
        explain,
        loaded,
    )

    try:
        chosen_checks(args.like, args.dtype, args.case)
        with loaded(args.function, Rules(args.seconds, args.memory)) as function:
            report = check_function(function, args.like, args.dtype, args.case)
    except LoadError as error:
        raise KernelFileError(str(error)) from error
    except ChoiceError as error:
        raise CommandError(str(error)) from error
    show_prints(function.file.printed)
    print(json.dumps(asdict(report), indent=1) if args.json else "\n".join(explain(report)))
    return WRONG if report.failure else 0


def run_inspect(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from minisam_kernels.lab.catalog import launches_by_name
    from minisam_kernels.lab.inspection import COLUMNS, CompileError, format_table, inspect, rows

    names = args.launch or [None, *launches_by_name(args.kernel)]
    try:
        compiled = inspect(args.kernel, args.dtype, args.head_dim, [args.arch], names)
    except CompileError as error:
        raise MinisamError(str(error)) from error
    if args.json:
        print(json.dumps([asdict(item) for item in compiled], indent=1))
        return 0
    print(f"{args.kernel}, {args.dtype}, head dim {args.head_dim}, {args.arch}, forward and backward")
    print(format_table(COLUMNS, rows(compiled)))
    return 0


def run_roofline(args: argparse.Namespace) -> int:
    from minisam.files import write_atomically
    from minisam_kernels.lab.gpus import GPUS as RATES
    from minisam_kernels.lab.roofline import floor_on, working
    from minisam_kernels.lab.roofline_figure import Point, measured_points, save_roofline_figure
    from minisam_kernels.lab.work import directions_of, work_of

    if args.out is not None:
        check_output(args.out, suffixes=FIGURES)
    gpu = RATES[args.gpu]
    kernels = [args.kernel] if args.kernel else list(KERNELS)
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


def run_trace(args: argparse.Namespace) -> int:
    os.environ["TRITON_INTERPRET"] = "1"
    from minisam.files import write_atomically
    from minisam_kernels.cases import make_case
    from minisam_kernels.lab.catalog import function_of
    from minisam_kernels.lab.trace import PICTURED, trace_call
    from minisam_kernels.lab.trace_figure import save_trace_figure

    check_output(args.out, suffixes=FIGURES)
    case = make_case(args.kernel, "trace", PICTURED[args.kernel])
    launches = trace_call(function_of(args.kernel), case.inputs, args.backward, **case.constants)
    write_atomically(args.out, lambda file: save_trace_figure(file, launches))
    print(args.out)
    return 0


def run_bench(args: argparse.Namespace) -> int:
    import torch

    if args.out is not None:
        check_output(args.out, suffixes=(".json",))
        check_replaceable_pair(args.out, ("device", "kernels", "encoder"))
    if not torch.cuda.is_available():
        raise MinisamError("the benchmark needs a CUDA device, and this machine has none")
    from minisam.bench.kernels import bench

    return bench(args.out, args.quick, args.minutes, args.json)


def interpret_without_gpu() -> None:
    """Without a GPU, select Triton's interpreter; must run before a kernel's file is imported."""
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"

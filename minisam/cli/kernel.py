"""`minisam kernel`: the lab in which kernels are checked, inspected, timed and drawn.

check FILE.py:function --like rel_pos_attention    is your kernel correct, and does it stay in bounds
inspect KERNEL --arch sm_90 --dtype bf16           its machine code, launch by launch; needs no GPU
roofline [KERNEL] --gpu H100                       the least time it can take, with the calculation
roofline [KERNEL] --predict                        and the time that its machine code will take, a prediction
trace KERNEL -o trace.png                          which program accesses which elements of which tensor
bench [KERNEL]                                     our kernels and all peers; needs a GPU
tune [KERNEL]                                      launches, measured on a GPU, predicted without one

KERNEL is one of ours, or FILE.py:function --like OPERATION.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from pathlib import Path

from minisam.cli.kernel_names import ARGUMENTS, KERNELS, add_kernel_name, named
from minisam.cli.kernel_roofline import FIGURES, run_roofline
from minisam.cli.kernel_tune import add_tune, run_tune
from minisam.cli.limits import add_limits, show_prints
from minisam.cli.numbers import number_from, positive
from minisam.cli.outputs import check_output
from minisam.cli.replaceable import check_replaceable_pair
from minisam.errors import CommandError, KernelFileError, MinisamError

ARCHS = ("sm_80", "sm_89", "sm_90", "sm_100", "gfx942")
DTYPES = ("fp32", "fp16", "bf16")
MODELS = ("vit_b", "vit_l", "vit_h")
GPUS = ("H200", "H100", "A100", "B200", "RTX4090", "L4", "T4")
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
    add_kernel_name(inspect)
    inspect.add_argument(
        "--arch", choices=ARCHS, default="sm_90", help="the GPU to compile for (default: sm_90)"
    )
    inspect.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the tensors (default: bf16)")
    inspect.add_argument(
        "--head-dim",
        type=number_from(1, 1024),
        default=64,
        metavar="D",
        help="channels of a head (default: 64)",
    )
    inspect.add_argument("--launch", action="append", help="default: every launch of the kernel")

    roofline = tools.add_parser("roofline", help="the least time a kernel can take, with the calculation")
    add_kernel_name(roofline, "default: a table of all of them")
    roofline.add_argument(
        "--gpu", choices=GPUS, default="H100", help="the GPU whose rates are used (default: H100)"
    )
    roofline.add_argument(
        "--model", choices=MODELS, default="vit_b", help="the network whose sizes are used (default: vit_b)"
    )
    roofline.add_argument("--batch", type=number_from(1), default=8, help="images at once (default: 8)")
    roofline.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the tensors (default: bf16)")
    roofline.add_argument(
        "--predict",
        action="store_true",
        help="compile the kernels too, and predict their time from the machine code; needs no GPU",
    )
    roofline.add_argument("-o", "--out", type=Path, metavar="FILE", help="draw the roofline there, as a PNG")

    trace = tools.add_parser("trace", help="a figure of which program accesses which elements")
    add_kernel_name(trace)
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
    add_kernel_name(bench, "default: all of them")
    bench.add_argument("--quick", action="store_true", help="only ViT-B, batch 8, no compiled peers")
    bench.add_argument(
        "--minutes", type=positive, default=7.5, help="start no new measurement after that (default: 7.5)"
    )
    bench.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="default: kernels/benchmarks/DEVICE.json, of one KERNEL none",
    )
    tune = add_tune(tools, GPUS, DTYPES)
    for tool in (check, inspect, roofline, bench, tune):
        tool.add_argument("--json", action="store_true", help="print JSON")
    for tool in (check, inspect, roofline, trace, bench, tune):
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
        "tune": run_tune,
    }[args.tool](args)


def run_check(args: argparse.Namespace) -> int:
    interpret_without_gpu()
    from dataclasses import asdict, replace

    from minisam_kernels.lab.answers.process import Rules
    from minisam_kernels.lab.check import ChoiceError, Failure, check_function, chosen_checks, explain
    from minisam_kernels.lab.compiled_check import CompiledCheck, check_compiled, explain_compiled
    from minisam_kernels.lab.inspection import USERS
    from minisam_kernels.lab.users_file import LoadError, loaded

    try:
        cases = [case for case, _ in chosen_checks(args.like, args.dtype, args.case)]
        with loaded(args.function, Rules(args.seconds, args.memory)) as function:
            report = check_function(function, args.like, args.dtype, args.case)
    except LoadError as error:
        raise KernelFileError(str(error)) from error
    except ChoiceError as error:
        raise CommandError(str(error)) from error
    show_prints(function.file.printed)
    compiled = CompiledCheck("")
    if report.failure is None and report.launches:
        limits = replace(USERS, gigabytes=args.memory)
        compiled = check_compiled(args.function, args.like, cases, report.dtypes, limits)
        if compiled.error:
            report = replace(report, failure=Failure(compiled.case, compiled.dtype, compiled.error))
    if args.json:
        print(json.dumps({**asdict(report), "compiled": asdict(compiled)}, indent=1))
    else:
        print("\n".join(explain(report)))
        if report.failure is None:
            print("\n".join(explain_compiled(compiled)))
    return WRONG if report.failure else 0


def run_inspect(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from minisam_kernels.lab.catalog import launches_by_name
    from minisam_kernels.lab.inspection import COLUMNS, CompileError, format_table, inspect, rows

    kernel = named(args)
    if kernel.place is not None and args.launch:
        raise CommandError("--launch names a launch of our kernels; your function chooses its own")
    names = [None] if kernel.place else args.launch or [None, *launches_by_name(kernel.operation)]
    kernel.check_place()
    if unknown := [name for name in args.launch or () if name not in launches_by_name(kernel.operation)]:
        there_are = ", ".join(launches_by_name(kernel.operation))
        raise CommandError(f"{kernel.title} has no launch {unknown[0]!r}; use one of {there_are}")
    try:
        compiled = inspect(kernel.operation, args.dtype, args.head_dim, [args.arch], names, kernel.place)
    except CompileError as error:
        raise MinisamError(str(error)) from error
    if args.json:
        print(json.dumps([asdict(item) for item in compiled], indent=1))
        return 0
    if not compiled:
        raise MinisamError(f"{kernel.title} launches no kernel")
    print(f"{kernel.title}, {args.dtype}, head dim {args.head_dim}, {args.arch}, forward and backward")
    print(format_table(COLUMNS, rows(compiled)))
    return 0


def run_trace(args: argparse.Namespace) -> int:
    os.environ["TRITON_INTERPRET"] = "1"
    from minisam.files import write_atomically
    from minisam_kernels.cases import make_case
    from minisam_kernels.lab.trace import PICTURED, trace_call
    from minisam_kernels.lab.trace_figure import save_trace_figure

    check_output(args.out, suffixes=FIGURES)
    kernel = named(args)
    case = make_case(kernel.operation, "trace", PICTURED[kernel.operation])
    launches = trace_call(kernel.function(), case.inputs, args.backward, **case.constants)
    if not launches:
        raise MinisamError(f"{kernel.title} launches no kernel")
    write_atomically(args.out, lambda file: save_trace_figure(file, launches))
    print(args.out)
    return 0


def run_bench(args: argparse.Namespace) -> int:
    import torch

    if args.out is not None:
        check_output(args.out, suffixes=(".json",))
        check_replaceable_pair(args.out, ("device", "kernels", "encoder"))
    kernel = named(args)
    kernel.check_place()
    if kernel.operation and args.quick:
        raise CommandError("--quick is for all kernels, not for one; omit it")
    if not torch.cuda.is_available():
        raise MinisamError("the benchmark needs a CUDA device, and this machine has none")
    from minisam.bench.kernels import bench, bench_one

    if kernel.operation:
        function = kernel.function() if kernel.place else None
        return bench_one(kernel.operation, function, kernel.title, args.out, args.minutes, args.json)
    return bench(args.out, args.quick, args.minutes, args.json)


def interpret_without_gpu() -> None:
    """Without a GPU, select Triton's interpreter; must run before a kernel's file is imported."""
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"

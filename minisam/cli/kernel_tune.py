"""`minisam kernel tune`: the launches of a kernel compared; on a GPU, a table of the fastest right ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisam.cli.numbers import number_from, positive
from minisam.cli.outputs import check_output
from minisam.cli.replaceable import check_replaceable_json
from minisam.errors import CommandError, MinisamError

if TYPE_CHECKING:
    from minisam_kernels.lab.bench import Deadline
    from minisam_kernels.lab.tune import Trial

TUNABLE = (
    "rel_pos_attention",
    "rel_pos_attention, d query",
    "rel_pos_attention, d key",
    "window_attention",
    "window_attention, backward",
)
HEADS = {64: 12, 80: 16}


def add_tune(
    tools: argparse._SubParsersAction, gpus: Sequence[str], dtypes: Sequence[str]
) -> argparse.ArgumentParser:
    tune = tools.add_parser(
        "tune", help="compare the launches of a kernel; on a GPU, write the fastest to a table"
    )
    tune.add_argument(
        "kernel",
        nargs="?",
        choices=TUNABLE,
        metavar="KERNEL",
        help=f"{'; '.join(TUNABLE)} (default: all of them)",
    )
    tune.add_argument(
        "--head-dim", type=int, choices=tuple(HEADS), default=64, help="of ViT-B or of ViT-H (default: 64)"
    )
    tune.add_argument("--dtype", choices=dtypes, default="bf16", help="of the tensors (default: bf16)")
    tune.add_argument(
        "--gpu", choices=gpus, default="H100", help="the GPU to predict for, without one here (default: H100)"
    )
    tune.add_argument(
        "--candidates", type=number_from(1), metavar="N", help="try only the first N launches (default: all)"
    )
    tune.add_argument(
        "--minutes", type=positive, default=2.0, help="on a GPU, start no new launch after that (default: 2)"
    )
    tune.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="the table (default: kernels/benchmarks/launches/DEVICE.json)",
    )
    return tune


def run_tune(args: argparse.Namespace) -> int:
    """On a GPU measure and write; without one predict and print."""
    import torch

    from minisam_kernels.lab.bench import Deadline

    if args.out is not None:
        check_output(args.out, suffixes=(".json",))
        check_replaceable_json(args.out, ("device", "launches"))
    measured, deadline = torch.cuda.is_available(), Deadline(args.minutes)
    if args.out is not None and not measured:
        raise CommandError(
            "-o is for measured launches, and this machine has no CUDA device to measure them on"
        )
    kernels = [args.kernel] if args.kernel else list(TUNABLE)
    try_launches = on_device(args, deadline) if measured else by_compiler(args)
    best = {kernel: try_launches(kernel) for kernel in kernels if not deadline.passed}
    how = "measured" if measured else f"predicted from the code compiled for {args.gpu}, not measured"
    if args.json:
        records = {kernel: [asdict(trial) for trial in trials] for kernel, trials in best.items()}
        print(json.dumps({"measured": measured, "head_dim": args.head_dim, "kernels": records}, indent=1))
    else:
        from minisam_kernels.lab.tune import trial_lines

        for kernel, trials in best.items():
            print("\n".join(trial_lines(kernel, trials, how)))
    if measured:
        write_table(args, best)
    return 0


def by_compiler(args: argparse.Namespace) -> Callable[[str], list[Trial]]:
    from minisam_kernels.lab.gpus import GPUS
    from minisam_kernels.lab.inspection import compiler
    from minisam_kernels.lab.prediction import UnpredictedError
    from minisam_kernels.lab.tune import CANDIDATES, tried_by_compiler

    def ranked(kernel: str) -> list[Trial]:
        try:
            with compiler() as worker:
                every = CANDIDATES[: args.candidates]
                return tried_by_compiler(worker, GPUS[args.gpu], kernel, every, args.head_dim, args.dtype)
        except UnpredictedError as error:
            raise CommandError(str(error)) from error

    return ranked


def on_device(args: argparse.Namespace, deadline: Deadline) -> Callable[[str], list[Trial]]:
    from minisam_kernels.lab.bench import make_call, median_milliseconds
    from minisam_kernels.lab.catalog import call_in_sam, function_of
    from minisam_kernels.lab.tune import CANDIDATES, tried_on_device
    from minisam_kernels.lab.worker import DTYPES
    from minisam_kernels.tuned_launches import TUNED

    def measured(kernel: str) -> list[Trial]:
        operation, dtype = TUNED[kernel][0], DTYPES[args.dtype]
        shapes, constants = call_in_sam(operation, dtype, args.head_dim, 8, HEADS[args.head_dim])
        call = make_call(operation, shapes, constants, "cuda", dtype)
        every = CANDIDATES[: args.candidates]
        return tried_on_device(kernel, every, call, function_of(operation), median_milliseconds, deadline)

    return measured


def write_table(args: argparse.Namespace, best: dict[str, list[Trial]]) -> None:
    """Other kernels, head dims and types of the table stay. Raises MinisamError if its file is not such a table."""
    import torch

    from minisam.bench.measure import commit, versions
    from minisam.files import write_atomically
    from minisam_kernels.lab.tune import table_rows
    from minisam_kernels.tuned_launches import TableError, path_of, read_table

    device = torch.cuda.get_device_name()
    path = args.out or path_of(device)
    rows: list[dict[str, Any]] = table_rows(best, args.head_dim, args.dtype)
    if path.exists():
        try:
            read_table(path, device)
        except TableError as error:
            raise MinisamError(str(error)) from error
        new = {(row["kernel"], row["head_dim"], row["dtype"]) for row in rows}
        old = json.loads(path.read_text(encoding="utf-8"))["launches"]
        rows = [row for row in old if (row["kernel"], row["head_dim"], row["dtype"]) not in new] + rows
    document = {"device": device, "versions": versions("triton"), "commit": commit(), "launches": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    print(path)

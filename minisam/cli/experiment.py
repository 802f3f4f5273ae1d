"""`minisam experiment`: run one of the small experiments, or all; write numbers, a figure and the page of results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output_folder
from minisam.cli.replaceable import check_replaceable_pair
from minisam.cli.run_options import add_threads_option, use_threads
from minisam.cli.unused import refuse_unused
from minisam.errors import OutputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", nargs="?", default="list", metavar="ID", help="E3, …, `all`, or `list` (default)"
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--model", choices=("tiny", "nano"), default="tiny", help="included weights (default: tiny)"
    )
    network.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights in a file")
    parser.add_argument(
        "--quick", action="store_true", help="two images, to see whether it runs; the numbers mean little"
    )
    parser.add_argument(
        "--images",
        type=number_from(1),
        default=24,
        help="scenes for each seed (default: 24; not with --quick)",
    )
    parser.add_argument(
        "--seeds",
        type=number_from(1, 1000),
        default=3,
        metavar="N",
        help="seeds 0 to N − 1, of trainings and scenes (default: 3; not with --quick)",
    )
    add_threads_option(parser)
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("experiments"), help="folder for ID.json and ID.png"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/experiments"),
        help="where experiments that train keep their runs, to resume them (default: runs/experiments)",
    )
    parser.add_argument("--page", action="store_true", help="write README.md from the results in the folder")


def run(args: argparse.Namespace) -> int:
    from minisam.experiments.experiment import Settings, experiments, find, write_outcome
    from minisam.experiments.page import FIRST_LINE, RESULT, page
    from minisam.files import write_atomically

    if args.id == "list":
        used = ("out", "page") if args.page else ()
        refuse_unused(args, add_arguments, "is for an experiment: name one, or all", used=used)
    if args.quick:
        refuse_unused(args, add_arguments, "is not for --quick", ("images", "seeds"))
    readme = args.out / "README.md"
    if args.page and readme.exists() and not readme.read_text(errors="replace").startswith(FIRST_LINE):
        raise OutputError(
            f"{readme} is not a page of experiments and is not replaced; choose another folder with -o"
        )
    if args.id == "list" and not args.page:
        for id, experiment in experiments().items():
            print(f"{id:5} {experiment.title}: {experiment.question}")
        return 0
    if args.id != "list":
        from minisam.build import build_sam
        from minisam.checkpoint import load_checkpoint

        use_threads(args)
        chosen = list(experiments().values()) if args.id == "all" else [find(args.id)]
        sam = load_checkpoint(args.checkpoint) if args.checkpoint else build_sam(args.model)
        network = args.checkpoint.name if args.checkpoint else args.model
        settings = (
            Settings.short(args.work / "quick")
            if args.quick
            else Settings(args.images, tuple(range(args.seeds)), work=args.work)
        )
        out = args.out / "quick" if args.quick else args.out
        check_output_folder(out, (args.checkpoint,), [f"{one.id}.json" for one in chosen])
        for one in chosen:
            check_replaceable_pair(out / f"{one.id}.json", RESULT)
        for experiment in chosen:
            print(f"{experiment.id}: {experiment.question}", file=sys.stderr)
            outcome = experiment.run(sam, settings)
            write_outcome(out, experiment, outcome, network, settings)
            print(f"{experiment.id} {'passed' if outcome.passed else 'NOT as expected'}: {outcome.finding}")
        print(f"results in {out.resolve()}", file=sys.stderr)
    if args.page:
        text = page(args.out)
        write_atomically(readme, lambda file: file.write(text.encode()))
        print(f"wrote {readme.resolve()}", file=sys.stderr)
    return 0

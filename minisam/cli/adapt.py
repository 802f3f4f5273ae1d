"""`minisam adapt DIR`: adapt a network to your images with masks; `minisam adapt merge FILE`: make it plain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.device_options import add_device_option
from minisam.cli.network import add_network_options, load_network
from minisam.cli.numbers import number_from, share
from minisam.cli.outputs import check_output, check_output_folder
from minisam.cli.replaceable import check_replaceable_json, check_replaceable_run, check_replaceable_text
from minisam.cli.run_options import (
    add_log_option,
    add_save_option,
    add_seed_option,
    add_threads_option,
    check_log,
    use_threads,
)
from minisam.cli.unused import refuse_unused
from minisam.errors import CheckpointError, PromptError

if TYPE_CHECKING:
    from minisam.adapt.adapt_run import AdaptOptions, Report

METHODS = ("auto", "iou", "token", "decoder", "late", "full", "lora", "adapter", "hq")
METHODS_WITH = {"rank": ("lora",), "late": ("late",), "decoder": ("lora", "adapter")}
"""Options that only some methods read."""
MERGE = "merge"
FILES = ("adapter.safetensors", "results.json", "table.md", "figure.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        metavar="DIR",
        help="images with masks: in the format of SA-1B or COCO, or images/NAME.jpg with masks/NAME.png; "
        f"or the word {MERGE}",
    )
    parser.add_argument("adapter", type=Path, nargs="?", metavar="FILE", help=f"the adapter, after {MERGE}")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="what is trained (default: auto, by the number of images)",
    )
    add_network_options(parser, "the base network")
    parser.add_argument(
        "--prompts",
        choices=("both", "box", "click"),
        default="both",
        help="the first prompts in training: boxes, clicks, or half of each (default)",
    )
    parser.add_argument(
        "--decoder",
        action=argparse.BooleanOptionalAction,
        help="also train the mask decoder, with lora and adapter; without it, files are small (default: as auto "
        "chooses, else with it)",
    )
    parser.add_argument(
        "--full-size",
        action="store_true",
        help="compare masks at the network's input size while training: for thin objects; slower",
    )
    parser.add_argument("--rank", type=number_from(1), default=4, help="of LoRA (default: 4)")
    parser.add_argument("--late", type=number_from(0), default=2, help="late blocks to train (default: 2)")
    parser.add_argument("--steps", type=number_from(1), help="at most so many steps (default: the method's)")
    parser.add_argument(
        "--lr",
        type=share(zero=False, one=False),
        help="learning rate of SAM's own weights (default: the method's)",
    )
    parser.add_argument("--batch-size", type=number_from(1), default=4, help="images per step (default: 4)")
    parser.add_argument(
        "--validation",
        type=share(zero=False, one=False),
        default=0.2,
        metavar="SHARE",
        help="share of the images that is held out, chosen by a hash of their names (default: 0.2)",
    )
    add_save_option(parser, default=50)
    parser.add_argument(
        "--patience",
        type=number_from(1),
        default=5,
        help="end after so many saves without improvement on the held-out images (default: 5)",
    )
    add_seed_option(parser)
    add_device_option(parser)
    add_threads_option(parser)
    add_log_option(parser)
    parser.add_argument(
        "-o", "--out", type=Path, help=f"folder of the run (default: runs/adapt); after {MERGE}, the new file"
    )


def run(args: argparse.Namespace) -> int:
    if str(args.data) == MERGE and (args.adapter or not args.data.is_dir()):
        return merge(args)
    if args.adapter:
        raise PromptError(f"one folder at a time; {args.adapter} is too much")
    return adapt_folder(args)


def adapt_folder(args: argparse.Namespace) -> int:
    from minisam.adapt.adapt_run import adapt_to_folder
    from minisam.data.segmentation_folder import open_folder
    from minisam.device import check_device

    use_threads(args)
    check_log(args)
    device = check_device(args.device)
    out = args.out or Path("runs") / "adapt"
    check_out(out, args)
    folder = open_folder(args.data)
    options = adapt_options(args, folder.names, device)
    report = adapt_to_folder(lambda: load_network(args), folder, options, out)
    if report.skipped:
        print(report.skipped.summary(), file=sys.stderr)
    write_report(report, out)
    return 0


def check_out(out: Path, args: argparse.Namespace) -> None:
    """Raises OutputError if the folder cannot be written, or has an input or another program's file in it."""
    from minisam.adapt.report import FIRST_TITLE
    from minisam.show.figure_file import check_replaceable_figure

    check_output_folder(out, (args.checkpoint,), FILES)
    check_replaceable_run(out, FILES[:1])
    check_replaceable_json(out / "results.json", ("method", "own", "partworld"))
    check_replaceable_text(out / "table.md", FIRST_TITLE)
    check_replaceable_figure(out / "figure.png")


def adapt_options(args: argparse.Namespace, names: Sequence[str], device: str) -> AdaptOptions:
    """The method, chosen by the number of images if it is auto, and its training.

    Raises CommandError for an option of another method.
    """
    from minisam.adapt.adapt_run import AdaptOptions, with_steps
    from minisam.adapt.adapt_task import Training
    from minisam.adapt.choose import SETTINGS, method_for
    from minisam.adapt.methods import Method
    from minisam.data.segmentation_folder import validation_split

    name, decoder = args.method, args.decoder
    if name == "auto":
        name, chosen, reason = method_for(len(validation_split(names, args.validation)[0]))
        decoder = chosen if decoder is None else decoder
        print(f"method {name}: {reason}", file=sys.stderr)
    for option, methods in METHODS_WITH.items():
        if name not in methods:
            refuse_unused(args, add_arguments, f"is for --method {' or '.join(methods)}", (option,))
    training = Training(
        SETTINGS[name],
        args.prompts,
        args.batch_size,
        patience=args.patience,
        seed=args.seed,
        full_size=args.full_size,
    )
    return AdaptOptions(
        Method(name, decoder=decoder is not False, rank=args.rank, late=args.late),
        with_steps(training, args.steps, args.lr),
        args.validation,
        args.save_every,
        device,
        args.log,
    )


def write_report(report: Report, out: Path) -> None:
    """Print the table, and write it, the JSON and the figure into the run's folder."""
    from minisam.adapt.report import adapt_figure, adapt_json, adapt_table
    from minisam.files import write_atomically
    from minisam.show.figure_file import save_figure

    text, table = adapt_json(report), adapt_table(report)
    print(table, end="")
    write_atomically(out / "results.json", lambda file: file.write(text.encode()))
    write_atomically(out / "table.md", lambda file: file.write(table.encode()))
    save_figure(adapt_figure(report), out / "figure.png")
    print(f"wrote {', '.join(FILES)} to {out}", file=sys.stderr)


def merge(args: argparse.Namespace) -> int:
    from minisam.adapt.files import load_adapter
    from minisam.adapt.merge import merged
    from minisam.checkpoint import save_checkpoint
    from minisam.checkpoint.save import TORCH_SUFFIXES

    if args.adapter is None:
        raise PromptError(f"minisam adapt {MERGE} needs the adapter's file")
    refuse_unused(
        args, add_arguments, f"is for training, not for {MERGE}", used=("model", "checkpoint", "out")
    )
    if not args.adapter.is_file():
        raise CheckpointError(f"{args.adapter}: no such adapter file")
    out = args.out or args.adapter.with_name(args.adapter.stem + "_merged.safetensors")
    check_output(out, (args.adapter, args.checkpoint), (".safetensors", *TORCH_SUFFIXES))
    sam = merged(load_adapter(load_network(args), args.adapter))
    save_checkpoint(sam, out)
    print(f"wrote {out}, a plain network", file=sys.stderr)
    return 0

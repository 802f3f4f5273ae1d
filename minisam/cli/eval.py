"""`minisam eval`: clicks, boxes and ambiguity on PartWorld or on images, with 95 % intervals, as table and figure.

With --ap it measures a file of detections instead (minisam/cli/eval_ap.py).
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.cutout_options import add_cutout_options, check_cutout_options
from minisam.cli.device_options import add_device_option
from minisam.cli.network import add_adapter_option, add_network_options, chosen_model, load_network
from minisam.cli.numbers import number_from, seed
from minisam.cli.outputs import check_output_folder
from minisam.cli.replaceable import check_replaceable_json, check_replaceable_text
from minisam.cli.run_options import add_threads_option, use_threads
from minisam.cli.unused import refuse_unused
from minisam.errors import PromptError

if TYPE_CHECKING:
    from minisam.cli.eval_sources import Measured

FILES = ("results.json", "table.md", "figure.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_options(parser)
    add_adapter_option(parser)
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="measure on images with masks instead of PartWorld: in the format of SA-1B or COCO, or images/NAME.jpg "
        "with masks/NAME.png",
    )
    pictures.add_argument(
        "--worlds",
        nargs="+",
        type=world_name,
        default=["all"],
        metavar="WORLD",
        help="which worlds (default: all)",
    )
    parser.add_argument(
        "--ap",
        type=Path,
        metavar="RESULTS",
        help="measure a file in COCO's results format, as of `minisam detect`, against the objects of --data: AP of "
        "boxes, masks and boundaries for each category and size",
    )
    add_cutout_options(parser)
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="also measure the filled box, GrabCut and Felzenszwalb's regions, with --data or --cutouts",
    )
    parser.add_argument(
        "--images",
        type=number_from(1),
        default=64,
        metavar="N",
        help="images per world, or at most that many from DIR, chosen by a hash of their names (default: 64)",
    )
    parser.add_argument(
        "--targets",
        type=number_from(1),
        default=8,
        metavar="M",
        help="at most that many masks per image (default: 8)",
    )
    parser.add_argument(
        "--clicks",
        type=int,
        choices=range(1, 10),
        default=9,
        metavar="N",
        help="at most that many clicks per mask (1 to 9)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="selects the scenes, which are never those of training (default: 0)",
    )
    add_device_option(parser)
    add_threads_option(parser)
    parser.add_argument("-o", "--out", type=Path, help="folder for results.json, table.md and figure.png")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    if args.ap:
        from minisam.cli import eval_ap

        refuse_unused(
            args, add_arguments, "is not for --ap, which measures a file of results", used=eval_ap.USED
        )
        return eval_ap.run(args)
    from minisam.distributed import is_first
    from minisam.locks import made_and_claimed

    check_options(args)
    use_threads(args)
    if args.out:
        check_out(args)
    with made_and_claimed(args.out) if args.out and is_first() else nullcontext():
        return evaluate(args)


def evaluate(args: argparse.Namespace) -> int:
    """Measure the network, print the tables and write the results."""
    import torch

    from minisam.cli.eval_sources import measure
    from minisam.device import check_device
    from minisam.distributed import is_first
    from minisam.evaluate.baselines import baseline_table, missing_baselines
    from minisam.evaluate.tables import markdown_tables, results_json

    name = args.checkpoint.name if args.checkpoint else chosen_model(args)
    name += f" with {args.adapter.name}" if args.adapter else ""
    sam = load_network(args, args.adapter)
    sam.to(check_device(args.device))
    measured = measure(args, sam)
    if measured.skipped and is_first():
        print(measured.skipped.summary(), file=sys.stderr)
    for line in missing_baselines() if args.baselines and is_first() else ():
        print(line, file=sys.stderr)

    about = {
        "network": name,
        "image_size": sam.image_encoder.img_size,
        "images": args.images,
        "targets_per_image": args.targets,
        "clicks": args.clicks,
        "seed": args.seed,
        "device": args.device,
        "torch": torch.__version__,
    }
    text = results_json(measured.results, about, measured.baselines)
    table = markdown_tables(measured.results)
    table += f"\n{baseline_table(measured.baselines)}" if measured.baselines else ""
    print(text if args.json else table, end="")
    if args.out and is_first():
        write_results(args.out, text, table, measured, f"{name} on {measured.measured_on}")
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Raises CommandError or PromptError for options that do not go together."""
    check_cutout_options(args)
    if args.cutouts:
        refuse_unused(
            args,
            add_arguments,
            "is not for --cutouts, which measures only the world photo",
            ("data", "worlds"),
        )
    if args.baselines and not (args.cutouts or args.data):
        raise PromptError("--baselines needs --data or --cutouts")


def check_out(args: argparse.Namespace) -> None:
    """Raises OutputError if --out cannot be written, or has an input or another program's file in a result's place."""
    from minisam.evaluate.tables import FIRST_TITLE
    from minisam.show.figure_file import check_replaceable_figure

    check_output_folder(args.out, (args.checkpoint, args.adapter, args.data), FILES)
    check_replaceable_json(args.out / "results.json", ("about", "worlds"))
    check_replaceable_text(args.out / "table.md", FIRST_TITLE)
    check_replaceable_figure(args.out / "figure.png")


def write_results(folder: Path, text: str, table: str, measured: Measured, title: str) -> None:
    from minisam.evaluate.figure import save_evaluation_figure
    from minisam.files import write_atomically

    write_atomically(folder / "results.json", lambda file: file.write(text.encode()))
    write_atomically(folder / "table.md", lambda file: file.write(table.encode()))
    save_evaluation_figure(folder / "figure.png", measured.results, title)
    print(f"wrote results.json, table.md and figure.png to {folder}", file=sys.stderr)


def world_name(text: str) -> str:
    from minisam.data.partworld import WORLDS

    if text != "all" and text not in WORLDS:
        raise argparse.ArgumentTypeError(f"there is no world {text!r}; choose from: all, {', '.join(WORLDS)}")
    return text

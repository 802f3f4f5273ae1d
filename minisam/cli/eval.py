"""`minisam eval`: clicks, boxes and ambiguity on PartWorld or on images, with 95 % intervals, as table and figure.

With --ap it measures a file of detections instead (minisam/cli/eval_ap.py).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from minisam.cli.cutout_options import add_cutout_options, check_cutout_options
from minisam.cli.device_options import add_device_option
from minisam.cli.network import add_adapter_option, add_network_options, chosen_model, load_network
from minisam.cli.numbers import number_from, seed
from minisam.cli.outputs import check_output_folder, make_output_folder
from minisam.cli.replaceable import check_replaceable_json, check_replaceable_text
from minisam.cli.run_options import add_threads_option, use_threads
from minisam.cli.unused import refuse_unused

TRIES = 10
"""At most that many times the wanted images of --data are opened, where most of them have no mask to measure."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_options(parser)
    add_adapter_option(parser)
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="measure on images with masks, in the format of SA-1B or COCO, instead of PartWorld",
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
    import torch
    from tqdm import tqdm

    from minisam.data.partworld import WORLDS
    from minisam.data.segmentation_folder import hashed_order, open_folder
    from minisam.data.skipped import Skipped
    from minisam.device import check_device
    from minisam.distributed import is_first
    from minisam.errors import PromptError
    from minisam.evaluate import Estimate, WorldResult, evaluate_pictures, evaluate_world
    from minisam.evaluate.baselines import baseline_table, measure_baselines, missing_baselines
    from minisam.evaluate.cutouts import WORLD, cutout_targets, evaluate_cutouts
    from minisam.evaluate.figure import save_evaluation_figure
    from minisam.evaluate.pictures import baseline_targets
    from minisam.evaluate.tables import FIRST_TITLE, markdown_tables, results_json
    from minisam.files import resolved, write_atomically
    from minisam.show.figure_file import check_replaceable_figure

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
    use_threads(args)
    if args.out:
        check_output_folder(
            args.out, (args.checkpoint, args.adapter, args.data), ("results.json", "table.md", "figure.png")
        )
        check_replaceable_json(args.out / "results.json", ("about", "worlds"))
        check_replaceable_text(args.out / "table.md", FIRST_TITLE)
        check_replaceable_figure(args.out / "figure.png")
    worlds = [world for world in WORLDS if world in args.worlds or "all" in args.worlds]
    name = args.checkpoint.name if args.checkpoint else chosen_model(args)
    name += f" with {args.adapter.name}" if args.adapter else ""
    sam = load_network(args, args.adapter)
    sam.to(check_device(args.device))
    if args.cutouts:
        worlds = [WORLD]
    folder = open_folder(args.data) if args.data else None
    baselines: dict[str, dict[str, Estimate]] = {}
    results: list[WorldResult] = []
    skipped = Skipped()
    count = min(args.images, len(folder.names)) if folder else len(worlds) * args.images
    with tqdm(total=count, unit="image", disable=None) as bar:
        options = {"clicks": args.clicks, "on_batch": bar.update}
        if folder:
            order = hashed_order(folder.names)
            chosen, spare = sorted(order[:count]), order[count : TRIES * count]
            result, skipped = evaluate_pictures(
                sam, folder, chosen, args.targets, args.seed, spare=spare, **options
            )
            results.append(replace(result, world=resolved(args.data).stem))
            if args.baselines:
                of_folder = baseline_targets(sam, folder, chosen, args.targets, args.seed, spare)
                baselines = measure_baselines(of_folder)
        if args.cutouts:
            folders = resolved(args.cutouts), resolved(args.backgrounds)
            result, skipped = evaluate_cutouts(
                sam,
                *folders,
                args.images,
                args.targets,
                args.seed,
                leave_out=tuple(args.leave_out),
                **options,
            )
            results.append(result)
            if args.baselines:
                of_cutouts = cutout_targets(
                    sam, *folders, args.images, args.targets, args.seed, tuple(args.leave_out)
                )
                baselines = measure_baselines(of_cutouts)
        for world in worlds if not folder and not args.cutouts else []:
            bar.set_description(world)
            results.append(evaluate_world(sam, world, args.images, args.targets, args.seed, **options))
    if skipped and is_first():
        print(skipped.summary(), file=sys.stderr)
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
    text, table = results_json(results, about, baselines), markdown_tables(results)
    table += f"\n{baseline_table(baselines)}" if baselines else ""
    print(text if args.json else table, end="")
    if args.out and is_first():
        make_output_folder(args.out)
        write_atomically(args.out / "results.json", lambda file: file.write(text.encode()))
        write_atomically(args.out / "table.md", lambda file: file.write(table.encode()))
        where = (
            f"{args.data}, {results[0].images} images"
            if folder
            else f"PartWorld, {args.images} images per world"
        )
        where = f"cut-outs, {args.images} images" if args.cutouts else where
        title = f"{name} on {where}"
        save_evaluation_figure(args.out / "figure.png", results, title)
        print(f"wrote results.json, table.md and figure.png to {args.out}", file=sys.stderr)
    return 0


def world_name(text: str) -> str:
    from minisam.data.partworld import WORLDS

    if text != "all" and text not in WORLDS:
        raise argparse.ArgumentTypeError(f"there is no world {text!r}; choose from: all, {', '.join(WORLDS)}")
    return text

"""`minisam engine run`: the data engine, from a few labelled images to masks that no annotator drew."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output_folder
from minisam.cli.replaceable import check_no_results
from minisam.cli.run_options import add_seed_option, add_threads_option, use_threads

IMAGES = ("labelled", "manual", "semi", "automatic")
"""The settings that --images gives."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the one action and its options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    run = actions.add_parser(
        "run", help="collect masks in three stages and train between them; run it again to resume"
    )
    run.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the engine")
    run.add_argument(
        "--preset", choices=("nano",), default="nano", help="the network and its recipe (default: nano)"
    )
    run.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        metavar="FILE",
        help="weights to start from instead of random ones; the first training then uses the recipe of the later ones",
    )
    run.add_argument(
        "--images",
        type=number_from(1),
        nargs=4,
        metavar=tuple(name.upper() for name in IMAGES),
        help="images of each stage (default: the preset's)",
    )
    run.add_argument(
        "--manual-rounds", type=number_from(1), metavar="N", help="trainings in the assisted-manual stage"
    )
    run.add_argument(
        "--steps",
        type=number_from(1),
        nargs=2,
        metavar=("FIRST", "LATER"),
        help="steps of the first training and of each later one (default: the preset's)",
    )
    run.add_argument(
        "--held-out", type=number_from(1), metavar="N", help="scenes that every model is measured on"
    )
    add_seed_option(run)
    add_threads_option(run)


def run(args: argparse.Namespace) -> int:
    """Run the engine to its end and print the table."""

    from minisam.distributed import is_first
    from minisam.engine.report import report_rows, table
    from minisam.engine.run import EngineRun
    from minisam.engine.settings import ENGINES
    from minisam.files import resolved

    use_threads(args)
    settings = ENGINES[args.preset]
    if args.start_from:
        settings = replace(settings, start_from=str(resolved(args.start_from)), first=settings.later)
    if args.steps:
        first, later = (
            replace(recipe, steps=steps)
            for recipe, steps in zip((settings.first, settings.later), args.steps, strict=True)
        )
        settings = replace(settings, first=first, later=later)
    images = args.images or (None,) * len(IMAGES)
    changes = dict(zip(IMAGES, images, strict=True))
    changes |= {"manual_rounds": args.manual_rounds, "held_out": args.held_out, "seed": args.seed}
    settings = replace(settings, **{name: value for name, value in changes.items() if value is not None})
    check_output_folder(args.out)
    check_no_results(args.out, ("rounds.json", "table.txt", "figure.png"))
    engine = EngineRun(args.out, settings, draw_ahead=(os.cpu_count() or 1) > 1)
    results = engine.run()
    print(table(report_rows(results)), end="")
    if is_first():
        print(f"next: minisam train --preset {args.preset} --data {args.out / 'data'}", file=sys.stderr)
    return 0

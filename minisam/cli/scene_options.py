"""The options of `minisam data` for the scenes to draw: PartWorld's, or cut-outs on photographs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from minisam.cli.cutout_options import PARTS, check_cutout_options
from minisam.cli.numbers import number_from
from minisam.cli.unused import refuse_unused
from minisam.data.partworld import VARIANTS, WORLDS

LARGEST_IMAGE = 8192


def add_world_option(parser: argparse.ArgumentParser) -> None:
    worlds = sorted(WORLDS | VARIANTS)
    parser.add_argument("--world", choices=worlds, default="train", help="the world to draw (default: train)")


def add_part_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part", choices=PARTS, default="training", help="which cut-outs (default: training)"
    )


def check_scene_options(
    args: argparse.Namespace, add_arguments: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Raises PromptError or CommandError for options that the chosen kind of scenes does not have."""
    check_cutout_options(args)
    if args.cutouts:
        refuse_unused(args, add_arguments, "is for PartWorld, not for --cutouts", ("world", "knob", "device"))
    else:
        refuse_unused(args, add_arguments, "is for --cutouts", ("part",))


def add_size_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        type=number_from(1, LARGEST_IMAGE),
        default=256,
        help="side of an image in pixels (default: 256)",
    )

"""The options of every command that takes cut-outs on photographs."""

from __future__ import annotations

import argparse
from pathlib import Path

from minisam.errors import PromptError

PARTS = ("training", "held out", "all")


def add_cutout_options(
    parser: argparse.ArgumentParser, required: bool = False, several: bool = False
) -> None:
    """Add --cutouts, --backgrounds and --leave-out.  `several` takes several folders of both, as lists."""
    parser.add_argument(
        "--cutouts",
        type=Path,
        nargs="+" if several else None,
        metavar="DIR",
        required=required,
        help="a folder of PNG or WebP files with an alpha channel, pasted on --backgrounds"
        + ("; of several folders, a step uses one, drawn at random" if several else ""),
    )
    parser.add_argument(
        "--backgrounds",
        type=Path,
        nargs="+" if several else None,
        metavar="DIR",
        required=required,
        help="a folder of photographs, for --cutouts",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="NAME",
        help="folders or files to leave out: a path below either folder, or any part of one",
    )


def check_cutout_options(args: argparse.Namespace) -> None:
    """Raises PromptError if one folder is given without the other, or --leave-out without both."""
    if (args.cutouts is None) != (args.backgrounds is None):
        raise PromptError("--cutouts and --backgrounds go together: give both, or neither")
    if args.leave_out and args.cutouts is None:
        raise PromptError("--leave-out is for --cutouts and --backgrounds; omit it")

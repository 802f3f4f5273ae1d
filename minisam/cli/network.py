"""The network that a command uses: included weights or a checkpoint, adapted or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.included import DEFAULT_MODEL, INCLUDED

if TYPE_CHECKING:
    from minisam.model import Sam


def add_network_options(
    parser: argparse.ArgumentParser, checkpoint: str = "weights in a file", default: str = DEFAULT_MODEL
) -> None:
    """`--model` or `--checkpoint`; `checkpoint` is the help text of the latter."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--model", choices=INCLUDED, help=f"included weights (default: {default})")
    network.add_argument("--checkpoint", type=Path, metavar="FILE", help=checkpoint)
    parser.set_defaults(default_model=default)


def add_adapter_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="FILE",
        help="what `minisam adapt` trained for these weights, or a folder of peft's",
    )


def load_network(args: argparse.Namespace, adapter: Path | None = None) -> Sam:
    """The network that `--model` or `--checkpoint` names, with an adapter if there is one.

    Raises CheckpointError if a file is damaged, or the adapter belongs to other weights.
    """
    from minisam.adapt.files import load_adapter
    from minisam.adapt.from_peft import load_from_peft
    from minisam.build import build_sam
    from minisam.checkpoint import load_checkpoint

    sam = load_checkpoint(args.checkpoint) if args.checkpoint else build_sam(chosen_model(args))
    if adapter is None:
        return sam
    load = load_from_peft if adapter.is_dir() else load_adapter
    return load(sam, adapter).sam.eval()


def chosen_model(args: argparse.Namespace) -> str:
    """The name of the included weights, where no checkpoint is given."""
    return args.model or args.default_model

"""The network that a command uses: included weights or a checkpoint, adapted or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minisam.model import Sam


def add_adapter_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="FILE",
        help="what `minisam adapt` trained for these weights, or a folder of peft's",
    )


def load_network(checkpoint: Path | None, adapter: Path | None = None, default: str = "tiny") -> Sam:
    """The network in `checkpoint`, or the included weights `default`, with an adapter if there is one.

    Raises CheckpointError if a file is damaged, or the adapter belongs to other weights.
    """
    from minisam.adapt.files import load_adapter
    from minisam.adapt.from_peft import load_from_peft
    from minisam.build import build_sam
    from minisam.checkpoint import load_checkpoint

    sam = load_checkpoint(checkpoint) if checkpoint else build_sam(default)
    if adapter is None:
        return sam
    load = load_from_peft if adapter.is_dir() else load_adapter
    return load(sam, adapter).sam.eval()

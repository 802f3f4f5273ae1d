"""`minisam convert IN OUT`: a network in another format, put together from a base and what was trained for it, or the
average of several.

.pth, .pt         a file of torch.save, with segment-anything's names
a folder          model.safetensors and config.json, for transformers' SamModel and SamProcessor
.safetensors      ours
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output, check_writable
from minisam.errors import CommandError, OutputError

if TYPE_CHECKING:
    from minisam.model import Sam

SUFFIXES = (".safetensors", ".pth", ".pt")
KEPT_IN_FOLDER = {"pixel_mean", "pixel_std"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        type=Path,
        metavar="IN",
        help="a checkpoint of segment-anything, of Lightning or minisam, or a folder of transformers' save_pretrained; "
        "with --base also a part of a network or an adapter",
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help=f"a name that ends in {', '.join(SUFFIXES)}; without an ending, a folder for transformers",
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="FILE",
        help="the whole network that IN belongs to: a mask decoder saved alone replaces its own, a LoRA of "
        "`minisam adapt` or peft is merged",
    )
    parser.add_argument(
        "--average",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="other checkpoints of the same kind of network, such as ends of other runs from the same weights: OUT has "
        "the mean of their weights and IN's",
    )
    parser.add_argument(
        "--image-size",
        type=number_from(1),
        metavar="PIXELS",
        help="the side of the images that OUT works on from now on; no weight changes, positions are interpolated "
        "(default: as IN)",
    )
    parser.add_argument(
        "--float16",
        action="store_true",
        help="half the size; in a name that ends in .safetensors, .pth or .pt",
    )


def run(args: argparse.Namespace) -> int:
    from minisam.checkpoint import load_state_dict, save_checkpoint
    from minisam.checkpoint.geometry import name_of
    from minisam.checkpoint.huggingface_folder import save_for_transformers
    from minisam.checkpoint.save import savable

    check_new(args.out)
    is_folder = args.out.suffix == ""
    if args.base and args.average:
        raise CommandError("--base puts one network together, --average takes whole ones; give one of them")
    if is_folder and args.float16:
        raise CommandError(
            f"--float16 is for files; {args.out} is a folder for transformers, which has float32"
        )
    sam = load_whole(args.input, args.average) if args.base is None else put_together(args.input, args.base)
    if args.image_size:
        set_size(sam, args.image_size)
    _, config, inputs = savable(sam)
    if is_folder:
        save_for_transformers(sam, args.out)
    else:
        save_checkpoint(sam, args.out, dtype="float16" if args.float16 else "float32")
    what = "for transformers" if is_folder else f"{args.out.stat().st_size / 1e6:.1f} MB"
    print(f"{args.out}: {name_of(config)}, {what}")
    lost = {name: value for name, value in inputs.items() if not (is_folder and name in KEPT_IN_FOLDER)}
    if not is_folder and load_state_dict(args.out)[1].decoder_heads != config.decoder_heads:
        lost["decoder_heads"] = config.decoder_heads
    if lost and args.out.suffix.lower() != SUFFIXES[0]:
        named = ", ".join(f"{name} {value}" for name, value in lost.items())
        print(f"this format has no place for {named}: set it in the program that loads the file")
    return 0


def load_whole(path: Path, others: Sequence[Path] | None) -> Sam:
    """The network in a file or folder, or its average with others; the errors for an adapter or a part name --base."""
    from minisam.checkpoint.average import average_checkpoints

    paths = [path, *(others or ())]
    for one in paths:
        if is_adapter(one):
            raise CommandError(f"{one} is an adapter; give the network it was trained for with --base FILE")
    return average_checkpoints(paths)


def set_size(sam: Sam, size: int) -> None:
    """Raises CommandError for a size that no network can have."""
    try:
        sam.set_image_size(size)
    except ValueError as error:
        raise CommandError(f"--image-size: {error}") from None


def put_together(path: Path, base: Path) -> Sam:
    """The base with a merged adapter, or with a part replaced."""
    from minisam.adapt.files import load_adapter
    from minisam.adapt.from_peft import load_from_peft
    from minisam.adapt.merge import merged
    from minisam.checkpoint import load_checkpoint
    from minisam.checkpoint.part import load_part_into

    sam = load_checkpoint(base)
    if is_adapter(path):
        return merged((load_from_peft if path.is_dir() else load_adapter)(sam, path))
    count = load_part_into(sam, path)
    print(f"{count} of {len(sam.state_dict())} tensors from {path}, the others from {base}")
    return sam


def is_adapter(path: Path) -> bool:
    """Whether this is a folder of peft or a file of `save_adapter`."""
    from safetensors import SafetensorError, safe_open

    from minisam.adapt.files import KEY
    from minisam.adapt.peft_files import CONFIG

    if path.is_dir():
        return (path / CONFIG).is_file()
    if not path.is_file():  # reading a pipe may never end
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def check_new(path: Path) -> None:
    """Raises OutputError if there is something at a result's path, or it cannot be written."""
    name = path.suffix.lower()
    if name:
        check_output(path, suffixes=SUFFIXES)
    if os.path.lexists(path) and not (not name and path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path} exists and is not replaced; choose another name")
    if not name:
        parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
        if not parent.is_dir():
            raise OutputError(f"{parent} is no folder; choose another name for {path.name}")
        check_writable(parent)

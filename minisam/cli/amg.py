"""`minisam amg`: every mask of an image, or of a folder of them, as files in SA-1B's schema."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.amg_options import OPTIONS
from minisam.cli.device_options import add_device_options, chosen_device
from minisam.cli.main import in_one_line
from minisam.cli.network import add_adapter_option, add_network_options
from minisam.cli.numbers import LARGEST_COUNT
from minisam.cli.outputs import check_output_folder
from minisam.cli.segment import numbers
from minisam.data.skipped import told
from minisam.errors import GeneratorError, ImageError, MinisamError

if TYPE_CHECKING:
    from minisam.data.image_listing import Listing

FINE, UNREADABLE = 0, 3
# A million clicks on each of a thousand crops: a larger number is a typing error.
LIMITS = {
    "points_per_side": (1, 1024),
    "points_per_batch": (1, 65536),
    "pred_iou_thresh": (-1, 1),
    "stability_score_thresh": (-1, 1),
    "box_nms_thresh": (0, 1),
    "crop_n_layers": (0, 6),
    "min_mask_region_area": (0, LARGEST_COUNT),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        type=Path,
        metavar="IMAGE|FOLDER",
        help="an image file, or a folder with all images below it",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", help="where the records go (default: beside the images)"
    )
    parser.add_argument(
        "--preset",
        choices=("default", "paper", "young"),
        help="default: as in the released code; paper: crops and clean-up as for SA-1B; "
        "young: low thresholds, for the included weights (default: young for those, else default)",
    )
    for name, (kind, words) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=words)
    parser.add_argument("--single", action="store_true", help="one mask per click instead of three")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--roi", type=numbers(4), metavar="X0,Y0,X1,Y1", help="click only inside this box")
    where.add_argument("--roi-mask", type=Path, metavar="FILE", help="click only where this image is white")
    parser.add_argument(
        "--shard",
        type=shard,
        default=(1, 1),
        metavar="I/N",
        help="every N-th image of the folder, from the I-th on: 1/4 … 4/4",
    )
    parser.add_argument("--figure", action="store_true", help="also draw the masks of each image")
    add_network_options(parser)
    add_adapter_option(parser)
    add_device_options(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def shard(text: str) -> tuple[int, int]:
    """An argument type: I/N with 1 <= I <= N."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text!r}")
    return int(index), int(count)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from minisam.cli.amg_worker import Worker
    from minisam.data.image_listing import image_listing
    from minisam.distributed import gathered, in_turn, own_items
    from minisam.predict.everything.record_files import record_paths, shard_of

    check_options(args)
    if not args.images.exists():
        raise ImageError(f"{args.images}: no such image file, and no such folder")
    listing = image_listing(args.images)
    top = args.images if args.images.is_dir() else args.images.parent
    check_output_folder(args.out or top)
    paths = record_paths(listing.images, top, args.out or top)
    done: dict[str, list[str]] = {"written": [], "valid": [], "unreadable": []}
    if args.shard[0] == 1:
        tell_of_the_rest(listing, done)
    own, outcomes = own_items(shard_of(len(listing.images), *args.shard)), []
    with chosen_device(args) as device:
        worker = Worker(args, top, device)
        for place in tqdm(own, desc="images", disable=None, leave=False):
            try:
                outcome = worker.work(listing.images[place], paths[place])
            except (MinisamError, OSError, MemoryError) as error:
                if not args.images.is_dir() or is_the_end(error):
                    raise
                tqdm.write(f"minisam: {in_one_line(error)}", file=sys.stderr)
                outcome = "unreadable" if isinstance(error, ImageError) else "refused"
            bad = outcome in ("unreadable", "refused")
            outcomes.append((outcome, str(listing.images[place] if bad else paths[place])))
    for outcome, name in in_turn(gathered(outcomes)):
        done.setdefault(outcome, []).append(name)
    masks = sum(gathered(worker.masks))
    if args.json:
        print(json.dumps(done))
    elif args.images.is_file() and (done["written"] or done["valid"]):
        print(told_of_one(done, masks, args.figure))
    else:
        print(told_of_all(done, masks, args.out or top, listing.others))
    return UNREADABLE if done["unreadable"] or "refused" in done else FINE


def check_options(args: argparse.Namespace) -> None:
    """Raises GeneratorError for numbers that make no sense or would take forever."""
    for name, (lowest, highest) in LIMITS.items():
        number = getattr(args, name)
        if number is not None and not lowest <= number <= highest:
            raise GeneratorError(
                f"--{name.replace('_', '-')} must be from {lowest} to {highest}, got {number}"
            )


def tell_of_the_rest(listing: Listing, done: dict[str, list[str]]) -> None:
    """Count and print the files that are named like images but cannot be used."""
    from minisam.distributed import is_first

    for outcome, names in (("unreadable", listing.bad), ("left_out", listing.left_out)):
        done.setdefault(outcome, []).extend(names)
        for name, reason in names.items() if is_first() else ():
            print(f"minisam: {told(name, reason)}", file=sys.stderr)
    if not done["left_out"]:
        del done["left_out"]


def is_the_end(error: Exception) -> bool:
    """Whether the next image would fail in the same way: a full or broken disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def told_of_one(done: dict[str, list[str]], masks: int, figure: bool) -> str:
    """The files of a single image."""
    from minisam.predict.everything.record_files import figure_path

    record = (done["written"] or done["valid"])[0]
    line = f"{masks} masks: {record}" if done["written"] else f"already there, by the same settings: {record}"
    return f"{line}\nfigure: {figure_path(Path(record))}" if figure else line


def told_of_all(done: dict[str, list[str]], masks: int, out: Path, others: int) -> str:
    """How many images had which outcome, and how many masks are new."""
    counts = ", ".join(f"{len(names)} {words}" for words, names in named(done))
    rest = f"; {others} other files in the folder" if others else ""
    return f"{counts}; {masks} new masks, in {out}{rest}"


def named(done: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The outcomes as text; those after the first two only if they occurred."""
    one = {
        "written": "record written",
        "valid": "already there",
        "unreadable": "image unreadable",
        "left_out": "image left out because of its name",
        "refused": "image without a new record",
    }
    many = {
        **one,
        "written": "records written",
        "unreadable": "images unreadable",
        "left_out": "images left out because of their names",
        "refused": "images without a new record",
    }
    return [
        ((one if len(names) == 1 else many)[outcome], names)
        for outcome, names in sorted(done.items(), key=lambda item: list(one).index(item[0]))
        if names or outcome in ("written", "valid")
    ]

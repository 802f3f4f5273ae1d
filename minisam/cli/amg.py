"""`minisam amg`: every mask of an image, or of a folder of them, as files in SA-1B's schema."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisam.cli.device_options import add_device_options, chosen_device
from minisam.cli.segment import load_mask, numbers
from minisam.errors import GeneratorError, ImageError

if TYPE_CHECKING:
    import numpy as np

FINE, UNREADABLE = 0, 3
# Options of the command that are arguments of the generator: type, help.
OPTIONS = {
    "points_per_side": (int, "clicks a side of the grid (32)"),
    "points_per_batch": (int, "clicks that the decoder takes at once (64)"),
    "pred_iou_thresh": (float, "predicted IoU that a mask must exceed"),
    "stability_score_thresh": (float, "stability that a mask must have"),
    "box_nms_thresh": (float, "IoU of boxes above which the worse mask goes (0.7)"),
    "crop_n_layers": (int, "layers of crops, 2 x 2, 4 x 4 … (0)"),
    "min_mask_region_area": (int, "pixels below which holes and islands go (0)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, metavar="IMAGE|FOLDER")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", help="where the records go (default: beside the images)"
    )
    parser.add_argument(
        "--preset",
        choices=("default", "paper", "young"),
        help="default: as the released code does; paper: crops and cleaning as for SA-1B; "
        "young: low thresholds, for weights that ship (default: young for those, else default)",
    )
    for name, (kind, words) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=words)
    parser.add_argument("--single", action="store_true", help="one mask a click instead of three")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--roi", type=numbers(4), metavar="X0,Y0,X1,Y1", help="click inside this box alone")
    where.add_argument("--roi-mask", type=Path, metavar="FILE", help="click on this picture's white alone")
    parser.add_argument(
        "--shard",
        type=shard,
        default=(1, 1),
        metavar="I/N",
        help="the I-th of N parts of the folder: 1/4 … 4/4",
    )
    parser.add_argument("--figure", action="store_true", help="a picture of the masks of each image as well")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="weights (default: the tiny ones that ship)"
    )
    add_device_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def shard(text: str) -> tuple[int, int]:
    """An argument type: I/N with 1 <= I <= N."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text!r}")
    return int(index), int(count)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from minisam.predict.amg_records import list_images, record_paths, shard_of

    if not args.images.exists():
        raise ImageError(f"{args.images}: no such image file, and no such folder")
    if args.roi is not None and not all(map(math.isfinite, args.roi)):
        raise GeneratorError("--roi must be four finite numbers")
    images = list_images(args.images)
    top = args.images if args.images.is_dir() else args.images.parent
    paths = record_paths(images, top, args.out or top)
    own = shard_of(len(images), *args.shard)
    done: dict[str, list[str]] = {"written": [], "valid": [], "unreadable": []}
    with chosen_device(args) as device:
        worker = Worker(args, top, device)
        for place in tqdm(own, desc="images", disable=None, leave=False):
            try:
                outcome = worker.work(images[place], paths[place])
            except ImageError as error:
                if not args.images.is_dir():
                    raise
                tqdm.write(f"minisam: {error}", file=sys.stderr)
                outcome = "unreadable"
            done[outcome].append(str(images[place] if outcome == "unreadable" else paths[place]))
    if args.json:
        print(json.dumps(done))
    else:
        counts = ", ".join(f"{len(names)} {words}" for words, names in named(done))
        print(f"{counts}; {worker.masks} new masks, in {args.out or top}")
    return UNREADABLE if done["unreadable"] else FINE


def named(done: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The outcomes in words; the last one only if there was any."""
    one = {"written": "record written", "valid": "already there", "unreadable": "image unreadable"}
    many = {**one, "written": "records written", "unreadable": "images unreadable"}
    return [
        ((one if len(names) == 1 else many)[outcome], names)
        for outcome, names in done.items()
        if names or outcome != "unreadable"
    ]


def settings_of(generator: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """All arguments that decide what masks there are: the options, and the defaults of the rest."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(generator).parameters.items()
        if name not in ("model", "point_grids", "output_mode", "progress")
    }
    return {**defaults, **options}


def newer(figure: Path, record: Path) -> bool:
    """Whether the figure is there and was drawn after the record was written."""
    return figure.exists() and figure.stat().st_mtime_ns >= record.stat().st_mtime_ns


def make_folder(folder: Path) -> None:
    """Make a folder unless it is there.  Raises GeneratorError where nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeneratorError(
            f"{folder} cannot be a folder ({error.strerror}); choose another with -o"
        ) from None
    if not os.access(folder, os.W_OK):
        raise GeneratorError(f"{folder}: no permission to write into it; choose another with -o")


class Worker:
    """What makes the record of one image after the other."""

    def __init__(self, args: argparse.Namespace, top: Path, device: str) -> None:
        from minisam.build import build_sam
        from minisam.checkpoint import load_checkpoint
        from minisam.predict import PRESETS, SamAutomaticMaskGenerator
        from minisam.predict.amg_records import weights_digest

        self.args, self.top = args, top
        given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
        preset = args.preset or ("default" if args.checkpoint else "young")
        options = {**PRESETS[preset], **given, "multimask_output": not args.single}
        sam = load_checkpoint(args.checkpoint) if args.checkpoint else build_sam("tiny")
        self.generator = SamAutomaticMaskGenerator(sam.to(device), output_mode="coco_rle", **options)
        self.weights = weights_digest(sam)
        self.settings = settings_of(SamAutomaticMaskGenerator, options)
        self.told, self.masks = False, 0

    def work(self, image_path: Path, record_path: Path) -> str:
        """Make one record unless it is there.  Raises ImageError where the image cannot be read."""
        from minisam.data.images import load_image, save_image
        from minisam.data.sa1b import read_record, write_json
        from minisam.predict.amg_records import (
            FIGURE_ENDING,
            check_replaceable,
            is_valid,
            make_record,
            provenance,
        )
        from minisam.show.everything_figure import everything_figure

        if not image_path.is_file():
            raise ImageError(f"{image_path}: no such image file")
        name = image_path.relative_to(self.top).as_posix()
        settings = {**self.settings, **self.region_settings()}
        made_of = provenance(self.weights, image_path.read_bytes(), settings)
        figure = record_path.with_name(record_path.stem + FIGURE_ENDING)
        outcome, image = "valid", None
        if not is_valid(record_path, name, made_of):
            image = load_image(image_path)
            check_replaceable(record_path)
            make_folder(record_path.parent)
            self.tell_memory(image.shape[:2])
            masks = self.generator.generate(image, self.region(image.shape[:2]))
            write_json(record_path, make_record(name, image.shape[:2], masks, made_of))
            self.masks += len(masks)
            outcome = "written"
        if self.args.figure and not newer(figure, record_path):
            image = load_image(image_path) if image is None else image
            save_image(figure, everything_figure(image, read_record(record_path)["annotations"]))
        return outcome

    def region_settings(self) -> dict[str, Any]:
        """The region as it goes into a record: the box, or the hash of the mask file."""
        import hashlib

        if self.args.roi_mask is not None:
            return {"region": hashlib.sha256(self.args.roi_mask.read_bytes()).hexdigest()}
        return {} if self.args.roi is None else {"region": self.args.roi}

    def region(self, size: tuple[int, ...]) -> np.ndarray | None:
        """Where to click, [H, W], or None for everywhere.  Raises GeneratorError for a box outside the image."""
        import numpy as np

        if self.args.roi_mask is not None:
            return load_mask(self.args.roi_mask, size)
        if self.args.roi is None:
            return None
        region = np.zeros(size, bool)
        x0, y0, x1, y1 = (max(0, round(value)) for value in self.args.roi)
        region[y0:y1, x0:x1] = True
        if not region.any():
            raise GeneratorError(
                f"--roi {x0},{y0},{x1},{y1} has no pixel of the image of {size[1]} x {size[0]}"
            )
        return region

    def tell_memory(self, size: tuple[int, int]) -> None:
        """Say once how much memory the first image will take."""
        if self.told:
            return
        self.told = True
        megabytes = self.generator.estimate_memory(size).total / 1e6
        print(
            f"minisam: this takes about {megabytes:,.0f} MB of memory, the libraries' own not counted",
            file=sys.stderr,
        )

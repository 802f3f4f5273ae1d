"""`minisam data`: look at scenes (`preview`), time them (`bench`), write them as a data set (`export`).

With `--cutouts` and `--backgrounds` the scenes are cut-outs on photographs, otherwise PartWorld's. `shrink` writes
small copies of these two folders.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from minisam.cli.cutout_options import add_cutout_options, check_cutout_options
from minisam.cli.device_options import add_device_option
from minisam.cli.numbers import number_from
from minisam.cli.outputs import check_output, check_output_folder
from minisam.cli.run_options import add_seed_option
from minisam.cli.scene_options import (
    add_part_option,
    add_size_option,
    add_world_option,
    check_scene_options,
)
from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.data.cutouts.folder import Part
from minisam.data.cutouts.prepare import prepare_folders
from minisam.data.figure_mark import MARK
from minisam.data.images import WRITE_FORMATS, save_image
from minisam.data.partworld import SceneBatch, render_scenes
from minisam.data.partworld.export import SCENES_PER_BATCH, annotated_scenes, write_as_coco, write_sa1b
from minisam.data.partworld.knobs import RANGES
from minisam.data.partworld.preview import contact_sheet
from minisam.data.skipped import Skipped
from minisam.device import check_device
from minisam.errors import MinisamError, PromptError
from minisam.show.figure_file import check_replaceable_figure
from minisam.threads import cpu_threads

BENCH_SIZES = (64, 256, 512)
WARM_BATCHES = 40
"""Batches of cut-outs that are drawn before the timing, to load the files into memory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    preview = actions.add_parser(
        "preview", help="draw a contact sheet: images with their whole, part and subpart maps"
    )
    add_world_option(preview)
    add_seed_option(preview)
    preview.add_argument("--images", type=number_from(1), default=8, help="how many scenes (default: 8)")
    preview.add_argument("--columns", type=number_from(1), default=2, help="scenes side by side (default: 2)")
    add_size_option(preview)
    preview.add_argument(
        "--knob", action="append", default=[], metavar="NAME=VALUE",
        help="contrast, thinness, occlusion, levels or object_scale; may be given several times",
    )  # fmt: skip
    add_cutout_options(preview)
    add_part_option(preview)
    preview.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="contact sheet (default: partworld.png)"
    )
    bench = actions.add_parser(
        "bench", help="milliseconds per image at 64, 256 and 512 px, on one core or a device"
    )
    add_world_option(bench)
    bench.add_argument("--batch-size", type=number_from(1), default=16, help="images at once (default: 16)")
    bench.add_argument(
        "--repeats", type=number_from(1), default=10, help="measured batches of each size (default: 10)"
    )
    add_device_option(bench)
    add_cutout_options(bench)
    bench.add_argument("--json", action="store_true", help="print JSON")
    export = actions.add_parser("export", help="write images with masks, in the format of SA-1B or of COCO")
    add_world_option(export)
    add_seed_option(export)
    export.add_argument(
        "--images", type=number_from(1), default=100, metavar="N", help="how many images (default: 100)"
    )
    add_size_option(export)
    export.add_argument(
        "--format", choices=("sa1b", "coco"), default="sa1b", help="of the files (default: sa1b)"
    )
    export.add_argument(
        "--knob", action="append", default=[], metavar="NAME=VALUE", help="as for preview"
    )  # fmt: skip
    add_cutout_options(export)
    add_part_option(export)
    export.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    shrink = actions.add_parser(
        "shrink",
        help="copy cut-outs as small WebP files and backgrounds as JPEG, which are faster to read and copy",
    )
    add_cutout_options(shrink, required=True)
    shrink.add_argument(
        "--cutout-side",
        type=number_from(64),
        default=512,
        metavar="PIXELS",
        help="longest side of a cut-out (default: 512)",
    )
    shrink.add_argument(
        "--background-side",
        type=number_from(64),
        default=1024,
        metavar="PIXELS",
        help="longest side of a background (default: 1024)",
    )
    shrink.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write to")


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    actions = {"preview": preview, "bench": bench, "export": export, "shrink": shrink}
    return actions[args.action](args)


def shrink(args: argparse.Namespace) -> int:
    """Write small copies of two folders, and print the result for each file."""
    check_cutout_options(args)
    check_output_folder(args.out)
    for line in prepare_folders(
        args.cutouts,
        args.backgrounds,
        args.out,
        args.cutout_side,
        args.background_side,
        tuple(args.leave_out),
    ):
        print(line)
    return 0


def parse_knobs(words: list[str]) -> dict[str, float]:
    """Turn ["contrast=0.5"] into {"contrast": 0.5}.  Raises PromptError for an unknown knob or a bad number."""
    knobs = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in RANGES:
            raise PromptError(f"--knob {word!r} is unknown; use one of {', '.join(RANGES)}")
        try:
            knobs[name] = int(value) if name == "levels" else float(value)
        except ValueError:
            raise PromptError(
                f"--knob {word!r} is not NAME=NUMBER; write for instance contrast=0.5"
            ) from None
    return knobs


def preview(args: argparse.Namespace) -> int:
    """Save a contact sheet and print where it is."""
    check_scene_options(args, add_arguments)
    output = args.out or Path("partworld.png")
    check_output(output, suffixes=WRITE_FORMATS)
    if args.out is None:
        check_replaceable_figure(output)
    skipped = Skipped()
    try:
        scenes = draw(args, args.seed, args.images, args.size, skipped, **parse_knobs(args.knob))
    except MinisamError:  # of a folder
        raise
    except ValueError as error:  # of the options
        raise PromptError(str(error)) from error
    if skipped:
        print(skipped.summary(), file=sys.stderr)
    sheet = contact_sheet(scenes, min(args.columns, args.images))
    save_image(output, sheet.permute(1, 2, 0).numpy(), MARK)
    print(output)
    return 0


def draw(
    args: argparse.Namespace, seed: int, images: int, size: int, skipped: Skipped, **knobs: float
) -> SceneBatch:
    """Scenes for the options; cut-outs that were left out are added to `skipped`."""
    if not args.cutouts:
        return render_scenes(seed, images, size, args.world, getattr(args, "device", "cpu"), **knobs)
    part: Part = getattr(args, "part", "training")
    left_out = tuple(args.leave_out)
    drawn = render_cutouts(args.cutouts, args.backgrounds, seed, images, size, part, left_out)
    skipped.add_all(open_cutouts(args.cutouts, args.backgrounds, part, left_out).skipped)
    skipped.add_all(drawn.skipped)
    return drawn.scenes


def export(args: argparse.Namespace) -> int:
    """Write a data set and print where it is."""
    if args.seed >= 2000:
        raise PromptError(f"--seed {args.seed}: use 0 to 1999")
    check_scene_options(args, add_arguments)
    check_output_folder(args.out)
    knobs, skipped = parse_knobs(args.knob), Skipped()
    pictures = annotated_scenes(
        lambda seed: draw(args, seed, SCENES_PER_BATCH, args.size, skipped, **knobs), args.images, args.seed
    )
    shown = tqdm(pictures, total=args.images, unit="image", disable=None)
    try:
        written = (write_sa1b if args.format == "sa1b" else write_as_coco)(args.out, iter(shown))
    except MinisamError:  # of a folder
        raise
    except ValueError as error:  # of the options
        raise PromptError(str(error)) from error
    if skipped:
        print(skipped.summary(), file=sys.stderr)
    print(f"{written} images with masks: {args.out}")
    return 0


def time_scenes(args: argparse.Namespace, image_size: int) -> float:
    """Median milliseconds per image over `args.repeats` batches, with textures and files in memory."""
    warm = range(-WARM_BATCHES if args.cutouts else -2, 0)
    seconds = []
    for seed in chain(warm, range(args.repeats)):
        start = time.perf_counter()
        batch_seed = seed + WARM_BATCHES if args.cutouts else seed % 2
        scenes = draw(args, batch_seed, args.batch_size, image_size, Skipped())
        scenes.images.sum().item()
        if seed >= 0:
            seconds.append(time.perf_counter() - start)
    return 1e3 * sorted(seconds)[len(seconds) // 2] / args.batch_size


def bench(args: argparse.Namespace) -> int:
    """Print milliseconds per image at each size, with one thread on a CPU."""
    check_scene_options(args, add_arguments)
    check_device(args.device)
    with cpu_threads(1):
        measured = {size: time_scenes(args, size) for size in BENCH_SIZES}
    world = "cut-outs" if args.cutouts else args.world
    if args.json:
        record = {"world": world, "device": args.device, "batch_size": args.batch_size}
        print(json.dumps(record | {"ms_per_image": measured}))
    else:
        for size, milliseconds in measured.items():
            print(
                f"{size:4d} px  {milliseconds:6.2f} ms/image  ({world}, batch {args.batch_size}, {args.device})"
            )
    return 0

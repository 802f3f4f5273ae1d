"""`minisam train`: train a preset on PartWorld or on images; run it again to resume."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.cutout_options import add_cutout_options, check_cutout_options
from minisam.cli.device_options import add_device_option
from minisam.cli.numbers import number_from, share
from minisam.cli.outputs import check_output_folder
from minisam.cli.replaceable import check_replaceable_run
from minisam.cli.run_options import (
    add_log_option,
    add_precision_option,
    add_save_option,
    add_seed_option,
    add_threads_option,
    check_log,
    use_threads,
)
from minisam.cli.unused import refuse_unused

if TYPE_CHECKING:
    from minisam.model import Sam
    from minisam.train.presets import Recipe

LARGEST_IMAGE = 8192
VALIDATION_PICTURES = 32
"""The most images that are measured at a save."""
FILES = (
    "model.safetensors",
    "state.pt",
    "metrics.csv",
    "progress.png",
    "validation.csv",
    "latest.safetensors",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        choices=("nano", "tiny", "small"),
        default="nano",
        help="the network and its recipe (default: nano)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="another network: small, vit_b, vit_l or vit_h, in place of the preset's",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="train as this network is trained (default: the network's own recipe)",
    )
    parser.add_argument("-o", "--out", type=Path, help="folder of the run (default: runs/MODEL)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        metavar="FILE",
        help="start from trained weights of the same network, or of a smaller one that grows into it, at a lower "
        "learning rate and without the curriculum",
    )
    start.add_argument(
        "--from-mae",
        dest="start_from_mae",
        type=Path,
        metavar="FILE",
        help="start with the image encoder of a masked autoencoder, written by `minisam pretrain`",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="train on images with masks instead of PartWorld: in the format of SA-1B or COCO, or images/NAME.jpg with "
        "masks/NAME.png; with --cutouts, on a share of them in every step",
    )
    add_cutout_options(parser, several=True)
    parser.add_argument(
        "--validation",
        type=share(one=False),
        default=0.05,
        metavar="SHARE",
        help="share of the images of --data that is held out, if there are no --cutouts; up to 32 of them are "
        "measured at every save (default: 0.05)",
    )
    parser.add_argument("--steps", type=number_from(1), help="optimiser steps (default: the preset's)")
    parser.add_argument(
        "--image-size",
        type=number_from(32, LARGEST_IMAGE),
        metavar="PIXELS",
        help="side of the images, a multiple of 16 (default: the recipe's)",
    )
    parser.add_argument("--batch-size", type=number_from(1), help="images per step (default: the recipe's)")
    parser.add_argument(
        "--lr",
        type=share(zero=False, one=False),
        metavar="RATE",
        help="highest learning rate (default: the recipe's); Muon's changes by the same factor",
    )
    parser.add_argument(
        "--rounds",
        type=number_from(0),
        nargs=2,
        metavar=("CORRECTIVE", "MASK_ONLY"),
        help="rounds after the first prompt, if the preset has any (the paper: 8 2)",
    )
    add_seed_option(parser)
    add_device_option(parser)
    add_precision_option(parser, ("fp32", "bf16", "fp16"))
    add_threads_option(parser)
    add_log_option(parser)
    add_save_option(parser)


def run(args: argparse.Namespace) -> int:
    from minisam.checkpoint import save_checkpoint
    from minisam.device import check_device
    from minisam.distributed import is_first
    from minisam.pretrain.transfer import trunk_of
    from minisam.train.mixed import CutoutsOn
    from minisam.train.sam_run import sam_run
    from minisam.train.start import weights_of

    check_cutout_options(args)
    if args.cutouts or not args.data:
        refuse_unused(args, add_arguments, "is for --data without --cutouts", ("validation",))
    use_threads(args)
    check_log(args)
    device = check_device(args.device)
    model, recipe = chosen_recipe(args)
    folder = args.out or Path("runs") / model
    left_out = tuple(args.leave_out)
    check_output_folder(folder, (args.start_from, args.start_from_mae), FILES)
    check_replaceable_run(folder, ("model.safetensors", "latest.safetensors"))
    training = sam_run(
        model,
        folder,
        recipe,
        args.seed,
        device,
        args.precision,
        save_every=args.save_every,
        draw_ahead=args.device == "cpu" and (os.cpu_count() or 1) > 1,
        start=trunk_of(args.start_from_mae) if args.start_from_mae else weights_of(args.start_from),
        cutouts=[CutoutsOn(one, on, left_out) for one in args.cutouts or () for on in args.backgrounds],
        data=args.data,
        held_out=args.validation if args.data and not args.cutouts else 0.0,
        validation=validation(args),
    )
    training.log = args.log
    task = training.run()
    path, about = folder / "model.safetensors", task.about()
    about = {"preset": model, "steps": recipe.steps, "seed": args.seed, "from": about["start_from"]}
    if is_first():
        save_checkpoint(task.result().cpu(), path, metadata=about, dtype="float16")
    if task.source.skipped and is_first():
        print(task.source.skipped.summary(), file=sys.stderr)
    print(f"trained {recipe.steps} steps on {training.images} images in {training.seconds:.0f} s: {path}")
    return 0


def chosen_recipe(args: argparse.Namespace) -> tuple[str, Recipe]:
    """The network's name, and what it is trained by.  Raises PromptError for options that do not fit."""
    from minisam.build import CONFIGS
    from minisam.errors import PromptError
    from minisam.train.interactive import Rounds
    from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, RECIPES_ON_CUTOUTS

    model = args.model or args.preset
    if model not in CONFIGS:
        raise PromptError(f"--model: there is no network {model!r}; use {', '.join(CONFIGS)}")
    recipes = RECIPES_FROM_WEIGHTS if args.start_from else RECIPES
    recipes = RECIPES_ON_CUTOUTS if args.cutouts else recipes
    name = args.recipe or model
    if name not in recipes:
        raise PromptError(f"there is no recipe for {name} here; add --recipe {' or '.join(recipes)}")
    recipe = recipes[name]
    if args.steps:
        recipe = replace(recipe, steps=args.steps)
    if args.image_size and args.image_size % 16:
        raise PromptError(f"--image-size {args.image_size} is not a multiple of 16")
    recipe = recipe.with_images(args.image_size, args.batch_size)
    if args.lr:
        recipe = recipe.with_rate(args.lr)
    if args.rounds:
        if recipe.with_rounds(Rounds(9, 9)) == recipe:
            raise PromptError(f"--rounds: the recipe of {name} has no rounds after the first prompt; omit it")
        recipe = recipe.with_rounds(Rounds(*args.rounds))
    return model, recipe


def validation(args: argparse.Namespace) -> Callable[[Sam], dict[str, float]] | None:
    """Measures a network at every save on held-out data; None if there is none."""
    from minisam.evaluate.cutouts import cutout_validation
    from minisam.evaluate.pictures import validation_metrics
    from minisam.files import resolved
    from minisam.train.pictures import open_split

    if args.cutouts:
        folders = resolved(args.cutouts[0]), resolved(args.backgrounds[0]), tuple(args.leave_out)
        return lambda sam: cutout_validation(sam, *folders)
    if not args.data:
        return None
    folder, _, held_out = open_split(resolved(args.data), args.validation)
    return (lambda sam: validation_metrics(sam, folder, held_out[:VALIDATION_PICTURES])) if held_out else None

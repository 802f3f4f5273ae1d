"""`minisam pretrain`: pre-train a preset's image encoder as a masked autoencoder, without labels."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        choices=("nano", "tiny"),
        default="nano",
        help="the network and its recipe (default: nano)",
    )
    parser.add_argument("-o", "--out", type=Path, help="folder of the run (default: runs/PRESET-mae)")
    parser.add_argument("--steps", type=number_from(1), help="optimiser steps (default: the preset's)")
    parser.add_argument(
        "--mask-ratio", type=share(zero=False, one=False), help="share of hidden patches (default: 0.75)"
    )
    add_seed_option(parser)
    add_device_option(parser)
    add_precision_option(parser, ("fp32", "bf16"))
    add_threads_option(parser)
    add_log_option(parser)
    add_save_option(parser)


def run(args: argparse.Namespace) -> int:
    from minisam.device import check_device
    from minisam.pretrain.mae_task import mae_run
    from minisam.pretrain.recipes import PRETRAINING

    use_threads(args)
    check_log(args)
    device = check_device(args.device)
    recipe = PRETRAINING[args.preset]
    if args.steps:
        recipe = replace(recipe, steps=args.steps)
    if args.mask_ratio is not None:
        recipe = replace(recipe, mask_ratio=args.mask_ratio)
    folder = args.out or Path("runs") / f"{args.preset}-mae"
    check_output_folder(folder)
    check_replaceable_run(folder, ("mae.safetensors",))
    training = mae_run(
        args.preset,
        folder,
        recipe,
        args.seed,
        device,
        args.precision,
        save_every=args.save_every,
        draw_ahead=args.device == "cpu" and (os.cpu_count() or 1) > 1,
    )
    training.log = args.log
    training.run()
    print(f"pre-trained {recipe.steps} steps in {training.seconds:.0f} s: {folder / 'mae.safetensors'}")
    print(f"next: minisam train --preset {args.preset} --from-mae {folder / 'mae.safetensors'}")
    return 0

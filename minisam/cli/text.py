"""`minisam text`: train for text prompts, and list the known words."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from minisam.cli.numbers import number_from, share
from minisam.cli.outputs import check_output, check_output_folder
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
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    clip = actions.add_parser("clip", help="train a small CLIP on crops of PartWorld and their captions")
    clip.add_argument("-o", "--out", type=Path, default=Path("runs/clip"), help="folder of the run")
    sam = actions.add_parser(
        "sam", help="train a network that accepts the embeddings of that CLIP as prompts"
    )
    sam.add_argument(
        "--clip",
        type=Path,
        default=Path("runs/clip/clip.safetensors"),
        metavar="FILE",
        help="what `minisam text clip` wrote (default: runs/clip/clip.safetensors)",
    )
    sam.add_argument(
        "--preset", choices=("nano", "tiny"), default="nano", help="the trained weights to start from"
    )
    sam.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        metavar="FILE",
        help="start from a file that this command wrote",
    )
    sam.add_argument(
        "--captions",
        type=share(),
        default=0.0,
        metavar="SHARE",
        help="share of prompts that are captions instead of crops, 0 to 1 (default: 0, as in the paper)",
    )
    sam.add_argument(
        "--frozen-encoder", action="store_true", help="leave the image encoder as it is: quicker steps"
    )
    sam.add_argument("-o", "--out", type=Path, help="folder of the run (default: runs/PRESET-text)")
    words = actions.add_parser("words", help="print the words that a text prompt may use")
    words.add_argument("-o", "--out", type=Path, help="write them to this file instead")
    for action in (clip, sam):
        action.add_argument("--steps", type=number_from(1), help="optimiser steps (default: the recipe's)")
        add_seed_option(action)
        add_precision_option(action, ("fp32", "bf16"))
        add_threads_option(action)
        add_log_option(action)
        add_save_option(action)


def run(args: argparse.Namespace) -> int:
    return {"clip": train_clip, "sam": train_sam, "words": list_words}[args.action](args)


def train_clip(args: argparse.Namespace) -> int:
    from minisam.text.clip_task import ClipRecipe, ClipTask
    from minisam.train.run import TrainingRun

    use_threads(args)
    check_log(args)
    check_output_folder(args.out)
    check_replaceable_run(args.out, ("clip.safetensors",))
    recipe = replace(ClipRecipe(), steps=args.steps or ClipRecipe.steps)
    training = TrainingRun(ClipTask(recipe, args.seed, args.precision), args.out, args.save_every, args.log)
    training.run()
    last = training.validations[-1]
    print(f"trained {recipe.steps} steps in {training.seconds:.0f} s: {args.out / 'clip.safetensors'}")
    print(f"of {last['pairs']:.0f} new objects and captions, {last['found']:.0%} find each other")
    return 0


def train_sam(args: argparse.Namespace) -> int:
    from minisam.errors import CheckpointError
    from minisam.text.text_sam_task import TextRecipe, TextSamTask
    from minisam.train.run import TrainingRun

    use_threads(args)
    check_log(args)
    recipe = replace(TextRecipe(), steps=args.steps or TextRecipe.steps)
    folder = args.out or Path("runs") / f"{args.preset}-text"
    check_output_folder(folder, (args.clip, args.start_from), ("text.safetensors", "state.pt"))
    check_replaceable_run(folder, ("text.safetensors",))
    if not args.clip.exists():
        raise CheckpointError(f"{args.clip}: no such file; `minisam text clip` makes it")
    task = TextSamTask(
        args.clip,
        recipe,
        args.preset,
        args.seed,
        args.precision,
        args.start_from,
        args.captions,
        args.frozen_encoder,
    )
    training = TrainingRun(task, folder, args.save_every, args.log)
    training.run()
    last, file = training.validations[-1], folder / "text.safetensors"
    print(f"trained {recipe.steps} steps in {training.seconds:.0f} s: {file}")
    print(f"mIoU: caption {last['caption']:.3f}, random caption {last['random caption']:.3f}")
    print(f"try it: minisam segment IMAGE --text 'red wheel' --checkpoint {file}")
    return 0


def list_words(args: argparse.Namespace) -> int:
    from minisam.files import write_atomically
    from minisam.text.vocabulary import words_of

    text = "\n".join(words_of()) + "\n"
    if args.out is None:
        print(text, end="")
    else:
        check_output(args.out)
        write_atomically(args.out, lambda file: file.write(text.encode()))
    return 0

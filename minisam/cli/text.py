"""`minisam text`: train what text prompts need, and list the words that are known."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    clip = actions.add_parser("clip", help="train a small CLIP on crops of PartWorld and their captions")
    clip.add_argument("-o", "--out", type=Path, default=Path("runs/clip"), help="folder of the run")
    words = actions.add_parser("words", help="print the words that a text prompt may use")
    words.add_argument("-o", "--out", type=Path, help="write them to this file instead")
    for action in (clip,):
        action.add_argument("--steps", type=int, help="optimiser steps (default: the recipe's)")
        action.add_argument("--seed", type=int, default=0)
        action.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
        action.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
        action.add_argument("--save-every", type=int, default=200, metavar="STEPS")


def run(args: argparse.Namespace) -> int:
    return {"clip": train_clip, "words": list_words}[args.action](args)


def train_clip(args: argparse.Namespace) -> int:
    import torch

    from minisam.text.clip_run import ClipRecipe, ClipRun

    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = ClipRecipe()
    if args.steps:
        recipe = replace(recipe, steps=args.steps)
    training = ClipRun(args.out, recipe, args.seed, args.precision, args.save_every)
    training.run()
    last = training.validations[-1]
    print(f"trained {recipe.steps} steps in {training.seconds:.0f} s: {args.out / 'clip.safetensors'}")
    print(f"of {last['pairs']:.0f} new things and captions, {last['found']:.0%} find each other")
    return 0


def list_words(args: argparse.Namespace) -> int:
    from minisam.files import write_atomically
    from minisam.text.vocabulary import words_of

    text = "\n".join(words_of()) + "\n"
    if args.out is None:
        print(text, end="")
    else:
        write_atomically(args.out, lambda file: file.write(text.encode()))
    return 0

"""`minisam detect train DIR`: a detector from a COCO folder, or from a world of PartWorld, on a frozen SAM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minisam.cli.network import load_network
from minisam.cli.numbers import number_from, seed, share
from minisam.cli.outputs import check_output_folder
from minisam.cli.replaceable import check_replaceable_run
from minisam.cli.run_options import add_save_option
from minisam.cli.unused import refuse_unused
from minisam.errors import CommandError

if TYPE_CHECKING:
    from minisam.train.metrics import Row

VARIANTS = ("anchor", "query", "seg", "det")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for train")
    group.add_argument(
        "--variant",
        choices=VARIANTS,
        default="anchor",
        help="RSPrompter with anchors or queries, or a baseline: masks by convolutions (seg), box prompts (det)",
    )
    group.add_argument(
        "--world", metavar="WORLD", help="train on scenes of this world, such as map, without DIR"
    )
    group.add_argument(
        "--images", type=number_from(2), default=512, metavar="N", help="scenes of the world (default: 512)"
    )
    group.add_argument(
        "--sizes",
        choices=("auto", "small", "published"),
        default="auto",
        help="of the new layers: the paper's, or small ones (default: small for inputs up to 512 pixels)",
    )
    group.add_argument("--steps", type=number_from(1), default=1500, help="optimiser steps (default: 1500)")
    group.add_argument("--batch-size", type=number_from(1), default=4, help="images per step (default: 4)")
    group.add_argument(
        "--validation",
        type=share(one=False),
        default=0.1,
        metavar="SHARE",
        help="share of the images held out (default: 0.1)",
    )
    group.add_argument("--train-encoder", action="store_true", help="also train the image encoder")
    group.add_argument("--seed", type=seed, default=0, help="of all random numbers (default: 0)")
    add_save_option(group, default=250)


def run(args: argparse.Namespace, words: list[str]) -> int:
    import torch

    from minisam.adapt.rsprompter.config import published_config, small_config
    from minisam.adapt.rsprompter.labelled_images import FolderImages, WorldImages
    from minisam.adapt.rsprompter.prompter import build_prompter
    from minisam.adapt.rsprompter.prompter_task import RATES, PrompterRecipe, PrompterTask
    from minisam.checkpoint.digest import weights_digest
    from minisam.data.segmentation_folder import validation_split
    from minisam.device import check_device
    from minisam.distributed import is_first
    from minisam.train.run import TrainingRun

    check_options(args, words)
    folder = args.out or Path("runs") / "detector"
    device = check_device(args.device)
    check_output_folder(folder, (args.checkpoint,), ("detector.safetensors", "state.pt"))
    check_replaceable_run(folder, ("detector.safetensors",))
    sam = load_network(args)
    base, side = weights_digest(sam), sam.image_encoder.img_size
    images = WorldImages(args.world, args.images, side) if args.world else FolderImages(Path(words[0]))
    training, held_out = validation_split(images.names, args.validation)
    small = args.sizes == "small" or (args.sizes == "auto" and side <= 512)
    config = (small_config if small else published_config)(
        sam, args.variant, tuple(dict.fromkeys(images.categories.values())), train_encoder=args.train_encoder
    )
    torch.manual_seed(args.seed)
    prompter = build_prompter(sam, config)
    rate = RATES["small" if small else "published"]
    recipe = PrompterRecipe(steps=args.steps, images=args.batch_size, lr=rate)
    task = PrompterTask(prompter, images, training, recipe, args.seed, base, device, held_out)
    done = TrainingRun(task, folder, args.save_every)
    done.run()
    if is_first():
        if task.skipped:
            print(task.skipped.summary(), file=sys.stderr)
        print(f"trained {args.steps} steps in {done.seconds:.0f} s: {folder / 'detector.safetensors'}")
        if done.validations:
            print(told_of(done.validations[-1]))
    return 0


def check_options(args: argparse.Namespace, words: list[str]) -> None:
    """Raises CommandError unless the options name one folder or one world, and none of them is for detecting."""
    from minisam.data.partworld import VARIANTS as WORLD_VARIANTS
    from minisam.data.partworld import WORLDS

    if len(words) != (0 if args.world else 1):
        raise CommandError("give one folder, minisam detect train DIR, or --world WORLD without a folder")
    if args.world and args.world not in WORLDS | WORLD_VARIANTS:
        raise CommandError(
            f"there is no world {args.world!r}; choose from: {', '.join(WORLDS | WORLD_VARIANTS)}"
        )
    if not args.world:
        refuse_unused(args, add_training_arguments, "is for --world; a folder is used whole", ("images",))
    if args.data or args.detector:
        raise CommandError("--data and --detector are for detecting; omit them with train")


def told_of(last: Row) -> str:
    """The last measurement on held-out images."""
    return (
        f"on {int(last['images'])} held-out images: box AP {100 * last['box_ap']:.1f}, "
        f"mask AP {100 * last['mask_ap']:.1f} (AP50 {100 * last['mask_ap50']:.1f})"
    )

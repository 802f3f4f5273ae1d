"""The `minisam` command: finds the file of the sub-command, runs it, and turns errors into exit codes.

0 fine, 1 failure, 2 usage, 3 bad input file, 4 check failed, 130 interrupted, 141 nobody reads on (`minisam … | head`).
A sub-command is a module in this folder with `add_arguments(parser)` and `run(args) -> int`; only the one that is
asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from minisam.errors import MinisamError

COMMANDS = {
    "demo": "segment a photo and a drawn scene with every kind of prompt, and save one figure",
    "segment": "segment an image by points, a box, a mask, words or a picture of the thing",
    "amg": "find every mask of an image, or of a folder of images",
    "pretrain": "pre-train an image encoder as a masked autoencoder, without labels",
    "train": "train a network on PartWorld, or on your own pictures with masks",
    "text": "train what text prompts need: a small CLIP, and the network that takes its embeddings",
    "engine": "collect masks in three stages, with a simulated annotator, and train between them",
    "eval": "measure a checkpoint on the held-out worlds, or on your own pictures with masks",
    "experiment": "small experiments, each for one idea",
    "data": "look at PartWorld, or write it as a data set of files",
    "bench": "measure speed and memory, side by side with the original",
    "kernel": "check, inspect, time and draw GPU kernels, with or without a GPU",
    "lesson": "the course: read, do the exercises, have them checked",
    "doctor": "say what this machine has and what is missing",
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; only `command`'s own arguments are added, so that `--help` and start-up stay quick."""
    parser = argparse.ArgumentParser(prog="minisam", description="Segment Anything, from scratch.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        subparser.add_argument("--debug", action="store_true", help="show the full trace of an error")
        if name == command:
            importlib.import_module(f"minisam.cli.{name}").add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in argv if not word.startswith("-")), None)
    args = build_parser(command).parse_args(argv)
    module = importlib.import_module(f"minisam.cli.{args.command}")
    try:
        code = module.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 141
    except KeyboardInterrupt:
        print("minisam: interrupted", file=sys.stderr)
        return 130
    except (MinisamError, OSError) as error:
        if args.debug:
            raise
        print(f"minisam: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, MinisamError) else 1


if __name__ == "__main__":
    sys.exit(main())

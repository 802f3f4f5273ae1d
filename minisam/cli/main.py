"""The `minisam` command: finds the file of the sub-command, runs it, and turns errors into exit codes.

0 fine, 1 failure, 2 usage, 3 bad input file, 4 check failed, 130 interrupted, 141 output closed (`minisam … | head`).
A sub-command is a module in this folder with `add_arguments(parser)` and `run(args) -> int`; only the requested one
is imported.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from minisam import __version__
from minisam.cli.completion import SHELLS, PrintCompletion
from minisam.cli.device_options import allow_fallbacks
from minisam.cli.json_answer import one_document
from minisam.cli.ranks import are_several, run_as_one_of_several, said_once
from minisam.cli.unused import given_options
from minisam.errors import CommandError, MinisamError, printable

COMMANDS = {
    "demo": "segment a photo and a drawn scene with every kind of prompt, and save one figure",
    "segment": "segment an image by points, a box, a mask, words or an image of the object",
    "click": "click on photos in the browser",
    "amg": "find every mask of an image, or of a folder of images",
    "detect": "find labelled objects in an image, or train a detector on your own images with categories",
    "pretrain": "pre-train an image encoder as a masked autoencoder, without labels",
    "train": "train a network on PartWorld, or on your own images with masks",
    "text": "train for text prompts: a small CLIP, and a network that accepts its embeddings",
    "engine": "collect masks in three stages, with a simulated annotator, and train between them",
    "adapt": "adapt a network to your own images with masks: LoRA, adapters, HQ token, fine-tuning",
    "eval": "measure a checkpoint on the held-out worlds, or on your own images with masks",
    "experiment": "run small experiments, one idea each",
    "data": "look at PartWorld, or write it as a data set of files",
    "export": "write a network as ONNX or for torch.export, or the click page for any web server",
    "convert": "write a network in another format: segment-anything's .pth, a folder for transformers, or ours",
    "bench": "measure speed and memory, side by side with the original",
    "kernel": "check, inspect, time and draw GPU kernels, with or without a GPU",
    "lesson": "the course: read, do the exercises, and check them",
    "doctor": "report what this machine has and what is missing",
}
EXPECTED = (MinisamError, OSError, MemoryError)
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")


def build_parser(*commands: str | None) -> argparse.ArgumentParser:
    """The parser; only the arguments of these commands are added, which keeps `--help` and start-up fast."""
    parser = argparse.ArgumentParser(
        prog="minisam",
        description="Segment Anything, from scratch.",
        epilog="To begin: minisam demo, or minisam click PHOTO. Options of a command: minisam COMMAND --help.",
    )
    parser.add_argument("--version", action="version", version=f"minisam {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        const=lambda: build_parser(*COMMANDS),
        choices=SHELLS,
        help="print what a shell needs to complete commands and options, and exit",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        subparser.add_argument("--debug", action="store_true", help="show the full trace of an error")
        if name in commands:
            importlib.import_module(f"minisam.cli.{name}").add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    interrupts = Interrupts(is_program=argv is None)
    argv = with_joined_coordinates(sys.argv[1:] if argv is None else argv)
    allow_fallbacks()
    try:
        show_every_name(sys.stdout)
        if not argv:
            build_parser().print_help(sys.stderr)
            return 2
        command = next((word for word in argv if not word.startswith("-")), None)
        with said_once():
            parser = build_parser(command)
            args, rest = parser.parse_known_args(argv)
            if rest:
                parser.error(f"unrecognized arguments: {' '.join(rest)}{where_names_stand(rest)}")
            if any(re.fullmatch("(--[a-z-]+=)?", word) for word in argv):
                raise CommandError("one word is empty (''), perhaps a variable without a value; leave it out")
            args.given = given_options(parser, argv)
        run = importlib.import_module(f"minisam.cli.{args.command}").run
        with one_document(getattr(args, "json", False), in_one_line):
            code = run_as_one_of_several(run, args) if are_several() else run(args)
        sys.stdout.flush()
        interrupts.end()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at exit
        return 141
    except KeyboardInterrupt:
        pass  # left below, where the error's frames are gone, with what they held of other processes
    except Exception as error:
        if interrupts.came:  # an interrupted import may raise any error
            return interrupts.leave()
        if "--debug" in argv or not (isinstance(error, EXPECTED) or is_out_of_memory(error)):
            raise
        print(f"minisam: {in_one_line(error)}", file=sys.stderr)
        return exit_code_of(error)
    return interrupts.leave()


def with_joined_coordinates(words: Sequence[str]) -> list[str]:
    """`--box -0.4,3,80,90` as `--box=-0.4,3,80,90`, because argparse takes the second word for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].startswith("--") and re.match(r"-[\d.]+,", word):
            word = f"{joined.pop()}={word}"
        joined.append(word)
    return joined


def where_names_stand(rest: Sequence[str]) -> str:
    """A remedy for `minisam detect train --steps 9 DIR`: argparse takes optional names from one place alone."""
    has_options = any(word.startswith("-") for word in rest)
    return "" if has_options else "; names of files and folders stand together, before the options"


class Interrupts:
    """Ctrl-C, from the first import on; `came` records it even if the exception is lost."""

    def __init__(self, is_program: bool) -> None:
        self.is_program, self.came = is_program, False
        if is_program:
            signal.signal(signal.SIGINT, self.interrupt)

    def interrupt(self, number: int, frame: object) -> None:
        self.came = True
        raise KeyboardInterrupt

    def end(self) -> None:
        """Ignore Ctrl-C after the work is done: while Python shuts down it would only print a trace."""
        if self.is_program:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave(self) -> int:
        """Print that the command was interrupted, and exit here, because Python may otherwise die by a signal."""
        print("minisam: interrupted", file=sys.stderr)
        if self.is_program:
            sys.stdout.flush()
            os._exit(130)
        return 130


def in_one_line(error: Exception) -> str:
    """The system's message on a file as `name: reason`; other messages unchanged."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{os.fsdecode(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}")
    if isinstance(error, MemoryError):
        return printable(f"not enough memory{': ' if str(error) else ''}{error}")
    if is_out_of_memory(error):
        amount = re.search(r"[Tt]ried to allocate (\d+(?:\.\d+)? \w+)", str(error))
        return (
            f"not enough memory{f' for {amount[1]}' if amount else ''}; use fewer or smaller images at once"
        )
    return printable(error)


def exit_code_of(error: Exception) -> int:
    """3 for a name that no file can have, as for a file that is not there; commands check names of results before."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return 3
    return error.exit_code if isinstance(error, MinisamError) else 1


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch could not allocate a tensor, for which it raises RuntimeError."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def show_every_name(stream: TextIO) -> None:
    """Text with escapes for characters that the terminal cannot encode, as on stderr; file names may have them."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())

"""Options with one name and one meaning in every command: --seed, --threads, --precision, --log and --save-every."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minisam.cli.numbers import MOST_THREADS, number_from, seed


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=0, help="of all random numbers (default: 0)")


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=number_from(1, MOST_THREADS), help="CPU threads (default: torch's choice)"
    )


def use_threads(args: argparse.Namespace) -> None:
    """Give torch the wanted number of threads."""
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)


def add_log_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log", choices=("tensorboard",), help="write the metrics for TensorBoard too, into the run's folder"
    )


def check_log(args: argparse.Namespace) -> None:
    """Raises MinisamError if the library of --log is missing."""
    if args.log is not None:
        from minisam.train.tensorboard import summary_writer

        summary_writer()


def add_precision_option(parser: argparse.ArgumentParser, choices: Sequence[str]) -> None:
    parser.add_argument(
        "--precision", choices=choices, default="fp32", help="numbers in matrix products (default: fp32)"
    )


def add_save_option(parser: argparse._ActionsContainer, default: int = 200) -> None:
    parser.add_argument(
        "--save-every",
        type=number_from(1),
        default=default,
        metavar="STEPS",
        help=f"steps between saves (default: {default})",
    )

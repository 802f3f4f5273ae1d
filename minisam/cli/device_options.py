"""The options for where a command's network runs and which code computes it: --device and --backend."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from minisam.cli.run_options import add_threads_option, use_threads

BACKENDS = ("auto", "torch", "triton")

FALLBACKS = ("PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_ENABLE_XPU_FALLBACK")
"""torch runs operations that mps or xpu lack on the CPU, and prints their names, if these are set before its import."""


def allow_fallbacks() -> None:
    """To be called before torch is imported; a value that the user has set stays."""
    for name in FALLBACKS:
        os.environ.setdefault(name, "1")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …, mps or xpu (default: cpu)")


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """--device, --threads and --backend."""
    add_device_option(parser)
    add_threads_option(parser)
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="torch, the Triton kernels, or (auto) on a GPU the Triton kernels that have been measured",
    )


@contextmanager
def chosen_device(args: argparse.Namespace) -> Iterator[str]:
    """The device, with the backend chosen inside.

    Raises CommandError for a device that this machine does not have, and for a backend that cannot run there.
    """
    from minisam.backend import use_backend
    from minisam.device import check_device
    from minisam.errors import CommandError

    use_threads(args)
    device = check_device(args.device)
    # Triton 3.9 warns if this is not set.
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    with use_backend(args.backend):
        if args.backend == "triton" and not kernels_run_on(device):
            raise CommandError(f"the triton backend has no kernels for {device!r}: add --device cuda")
        yield device


def kernels_run_on(device: str) -> bool:
    """Whether Triton's kernels accept tensors on a device: a GPU if they are compiled, the CPU if interpreted."""
    from minisam_kernels.launch import INTERPRETED

    return device == "cpu" if INTERPRETED else device.startswith("cuda")

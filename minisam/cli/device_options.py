"""The options that say where a command's network runs, and which code computes it: --device and --backend."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

BACKENDS = ("auto", "torch", "triton")


def add_device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 … (default: cpu)")
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="which code computes: torch's, Triton's kernels, or (auto) on a GPU those that are measured",
    )


@contextmanager
def chosen_device(args: argparse.Namespace) -> Iterator[str]:
    """The device, with the backend chosen inside.

    Raises MinisamError for a device that this machine has not or that lacks float64, and for a backend that cannot
    run there.
    """
    from minisam.backend import use_backend
    from minisam.device import check_device
    from minisam.errors import MinisamError

    device = check_device(args.device)
    if device == "mps":
        raise MinisamError("clicks are placed in float64, which 'mps' has not; use --device cpu")
    # Triton 3.9 warns where this is left open.
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    with use_backend(args.backend):
        if args.backend == "triton" and not kernels_run_on(device):
            raise MinisamError(f"the triton backend has no kernels for {device!r}: add --device cuda")
        yield device


def kernels_run_on(device: str) -> bool:
    """Whether Triton's kernels take tensors that are on a device: on a GPU where they are compiled, else on the CPU."""
    from minisam_kernels.launch import INTERPRETED

    return device == "cpu" if INTERPRETED else device.startswith("cuda")

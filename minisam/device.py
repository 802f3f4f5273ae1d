"""The device of a command."""

from __future__ import annotations

import torch

from minisam.distributed import own_device
from minisam.errors import MinisamError


def check_device(name: str) -> str:
    """`name` if this machine has it: cpu, cuda, cuda:1, mps …; with several processes, cuda is one GPU each.

    Raises MinisamError, which lists the available devices, if it does not.
    """
    there_is = ["cpu"]
    if torch.cuda.is_available():
        there_is += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there_is.append("mps")
    if name not in there_is:
        raise MinisamError(f"no device {name!r} on this machine; use {' or '.join(there_is)}")
    return own_device(name)

"""The device of a command: the CPU, a GPU by CUDA, and, tested only by a mock, Apple's mps and Intel's xpu.

mps has no float64, and xpu has it on some GPUs only: values for these devices become float32 on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.distributed import own_device
from minisam.errors import CommandError

WITHOUT_FLOAT64 = ("mps", "xpu")


def check_device(name: str) -> str:
    """`name` if this machine has it: cpu, cuda, cuda:1, mps …; with several processes, cuda is one GPU each.

    Raises CommandError, which lists the available devices, if it does not.
    """
    there_is = device_names()
    if name not in there_is:
        raise CommandError(f"no device {name!r} on this machine; use {' or '.join(there_is)}")
    return own_device(name)


def device_names() -> list[str]:
    """The devices of this machine, as `--device` takes them."""
    names = ["cpu"]
    for kind, module in (("cuda", torch.cuda), ("xpu", torch.xpu)):
        if module.is_available():
            names += [kind, *(f"{kind}:{index}" for index in range(module.device_count()))]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def bring_to(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, in float32 instead of float64 where the device may lack float64."""
    narrow = tensor.dtype == torch.float64 and device.type in WITHOUT_FLOAT64
    return tensor.to(device, torch.float32 if narrow else tensor.dtype)

"""Functions that do more than launch a kernel."""

from __future__ import annotations

import os
import sys

import torch


def writes_to_the_channel(x, scale):
    os.write(1, b"{}\n")
    print("printed")
    raise RuntimeError("after the prints")


def takes_memory(x, scale):
    return torch.zeros(2**31)


def exits(x, scale):
    sys.exit(3)


def ends_the_process(x, scale):
    os._exit(3)

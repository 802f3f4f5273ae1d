"""Launches that `minisam kernel tune` measured on a GPU; without a table, the hand-picked ones of each kernel's file.

kernels/benchmarks/launches/DEVICE.json:

    {"device", "versions", "commit",
     "launches": [{"kernel", "head_dim", "dtype", "block_m", "block_k", "num_warps", "num_stages", "milliseconds"}]}

A table is read once per process. It applies where a caller leaves the launch to the kernel, and to the head dim and
type for which it was measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minisam_kernels.launch import Launch, launch_on

FOLDER = Path(__file__).parents[1] / "benchmarks" / "launches"
TUNED = {
    "rel_pos_attention": ("rel_pos_attention", "forward"),
    "rel_pos_attention, d query": ("rel_pos_attention", "backward"),
    "rel_pos_attention, d key": ("rel_pos_attention", "backward"),
    "window_attention": ("window_attention", "forward"),
    "window_attention, backward": ("window_attention", "backward"),
}
"""What can be tuned separately, with the operation and the direction in which it is measured."""
DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}
SIZES = ("block_m", "block_k", "num_warps", "num_stages")
Table = dict[tuple[str, int, str], Launch]

_tried: dict[str, Launch] = {}


class TableError(ValueError):
    """A table of launches cannot be used; one line."""


def launch_of(kernel: str, hand_picked: Launch, name: str, head_dim: int, like: Tensor) -> Launch:
    """The launch of one of TUNED: the one that is being tried, the measured one, or else the hand-picked one.

    `name` is the launch that the caller named: only the default one of the tensor's type and device is replaced.
    Raises TableError.
    """
    if kernel in _tried:
        return _tried[kernel]
    if not like.is_cuda or name != launch_on(like):
        return hand_picked
    table = table_of(torch.cuda.get_device_name(like.device), FOLDER)
    return table.get((kernel, head_dim, DTYPES.get(like.dtype, "")), hand_picked)


@contextmanager
def trying(kernel: str, launch: Launch) -> Iterator[None]:
    """Within this context the kernel is launched this way."""
    _tried[kernel] = launch
    try:
        yield
    finally:
        del _tried[kernel]


def path_of(device: str, folder: Path = FOLDER) -> Path:
    """ "NVIDIA H100 80GB HBM3" -> launches/nvidia-h100-80gb-hbm3.json."""
    return folder / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".json")


@lru_cache
def table_of(device: str, folder: Path) -> Table:
    """{} for a device without a table. Raises TableError."""
    path = path_of(device, folder)
    return read_table(path, device) if path.is_file() else {}


def read_table(path: Path, device: str) -> Table:
    """Raises TableError if the file is not such a table, or another device's."""
    remedy = f"delete it, or make it again with minisam kernel tune -o {path}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        measured_on, rows = document["device"], document["launches"]
        table = {(row["kernel"], int(row["head_dim"]), row["dtype"]): launch_in(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"{path} is not a table of launches ({reason}); {remedy}") from error
    if measured_on != device:
        raise TableError(f"{path} was measured on {measured_on}, and this is {device}; {remedy}")
    if unknown := {kernel for kernel, _, _ in table} - TUNED.keys():
        raise TableError(
            f"{path} has launches of {min(unknown)!r}, which is none of {', '.join(TUNED)}; {remedy}"
        )
    return table


def launch_in(row: dict[str, Any]) -> Launch:
    """Raises ValueError, KeyError or TypeError unless all four sizes are powers of two."""
    sizes = [row[name] for name in SIZES]
    for name, size in zip(SIZES, sizes, strict=True):
        power = isinstance(size, int) and size > 0 and (name == "num_stages" or size & (size - 1) == 0)
        if not power:
            raise ValueError(f"{name} is {size!r}")
    return Launch(*sizes)

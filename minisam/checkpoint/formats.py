"""From a file of unknown origin to named tensors, without running anything that it holds.

    safetensors   u64 length | JSON header | raw bytes      read by the safetensors library
    PyTorch       zip, or bare pickles of protocol 2        torch.load(weights_only=True); see torch_files.py

Sizes are checked before anything is read: a small file cannot cause large use of memory or time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from minisam.checkpoint.checksum import check_sum
from minisam.checkpoint.torch_files import OLD, ZIP, load_torch_file, printable
from minisam.errors import CheckpointError

# vit_h has 594 tensors and a header of 60 kB.
MAX_TENSORS = 10_000
MAX_HEADER_BYTES = 4 * 2**20
WHOLE = "save it in one file: transformers' save_pretrained(folder, max_shard_size='100GB'), or torch.save(state_dict)"
NOT_WEIGHTS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the weights; run `git lfs pull`",
    b"<!DOCTYPE": "is a web page, not weights; download the file again",
    b"<?xml": "is a web page, not weights; download the file again",
    b"<html": "is a web page, not weights; download the file again",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
}
WRAPPERS = ("model", "state_dict", "model_state_dict")
FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a checkpoint file, unchanged, and the text of its safetensors header.

    The tensors are dense, floating and on the CPU; they may share memory with the file.

    Raises:
        CheckpointError: the file is damaged, or not a checkpoint.
    """
    name = os.fsdecode(path)
    if not os.path.isfile(path):
        folder = "is a folder; give the weights file in it, such as model.safetensors"
        there = "\0" not in name and os.path.lexists(path)
        other = "is not a file but a broken link, a pipe or a device" if there else "no such file"
        raise CheckpointError(folder if os.path.isdir(path) else other)
    size = os.path.getsize(path)
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})") from None
    metadata: dict[str, str] = {}
    for magic, what in NOT_WEIGHTS.items():
        if start.lstrip().startswith(magic):
            raise CheckpointError(what)
    if not size:
        raise CheckpointError("is empty; download or save it again")
    if start[8:9] == b"{" or name.endswith(".safetensors"):
        tensors, metadata = _read_safetensors(name, int.from_bytes(start[:8], "little"), size)
    elif start.startswith((ZIP, OLD)):
        tensors = _unwrap(load_torch_file(name, size, mmap=True))
    elif start.lstrip().startswith(b"{"):
        raise CheckpointError(f"is JSON, such as the index of a network saved in shards; {WHOLE}")
    else:
        raise CheckpointError(
            "is neither a PyTorch nor a safetensors file; download or save it again, as .pth or .safetensors"
        )
    _check_tensors(tensors, size)
    return tensors, metadata


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The key of the first tensor with a NaN or an infinite value, or None."""
    return next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None)


def _read_safetensors(name: str, header_bytes: int, size: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    if 8 + header_bytes > size:
        raise CheckpointError(
            f"is truncated or damaged: its header alone claims {header_bytes} of {size} bytes"
        )
    if header_bytes > MAX_HEADER_BYTES:
        raise CheckpointError(f"has a header of {header_bytes} bytes, far more than any network needs")
    try:
        with safe_open(name, framework="pt", device="cpu") as file:
            keys = list(file.keys())
            if len(keys) > MAX_TENSORS:
                raise CheckpointError(f"holds {len(keys)} tensors, more than any Segment Anything network")
            tensors, metadata = {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"is a truncated or damaged safetensors file ({printable(error)})") from error
    check_sum(tensors, metadata)
    return tensors, metadata


def _unwrap(content: Any) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
        inside = [value for value in content.values() if isinstance(value, Mapping) and value]
        networks = [value for value in inside if all(isinstance(each, Tensor) for each in value.values())]
        content = networks[0] if len(networks) == 1 else content
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"holds a {type(content).__name__}, not a dictionary of tensors")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"is not a state dict: {printable(key)} is a {type(value).__name__}")
    return dict(content)


def _check_tensors(tensors: Mapping[str, Tensor], size: int) -> None:
    if len(tensors) > MAX_TENSORS:
        raise CheckpointError(f"holds {len(tensors)} tensors, more than any Segment Anything network")
    claimed = 0
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATING:
            raise CheckpointError(f"{printable(key)} is {tensor.dtype}, not a floating type")
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise CheckpointError(f"{printable(key)} is not a dense tensor with values")
        claimed += tensor.numel() * tensor.element_size()
    if claimed > 2 * size:
        raise CheckpointError(f"claims {claimed} bytes of weights, but has {size}")

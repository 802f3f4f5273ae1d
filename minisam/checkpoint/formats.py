"""From a file of unknown origin to named tensors, without running anything that it holds.

    safetensors   u64 length | JSON header | raw bytes      read by the safetensors library
    PyTorch zip   zip of data.pkl and one entry a tensor    torch.load(weights_only=True), memory-mapped
    PyTorch old   a bare pickle, protocol 2                 torch.load(weights_only=True)

`weights_only=True` is never taken back: a pickle that asks for anything but tensors is refused.  Sizes are
checked before anything is read, so that a small file cannot ask for a large amount of memory or time.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from minisam.errors import CheckpointError

# vit_h has 594 tensors and a header of 60 kB.
MAX_TENSORS = 10_000
MAX_HEADER_BYTES = 4 * 2**20
NOT_WEIGHTS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the weights; run `git lfs pull`",
    b"<!DOCTYPE": "is a web page, not weights; download the file again",
    b"<html": "is a web page, not weights; download the file again",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
}
WRAPPERS = ("model", "state_dict", "model_state_dict")
FLOATING = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a checkpoint file, as it lies there, and the text of its safetensors header.

    The tensors are dense, floating and on the CPU; they may share memory with the file.

    Raises:
        CheckpointError: the file is damaged, or holds anything else.
    """
    name = os.fspath(path)
    if not os.path.isfile(path):
        folder = "is a folder; give the weights file in it, such as model.safetensors"
        raise CheckpointError(folder if os.path.isdir(path) else "no such file")
    size = os.path.getsize(path)
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})") from None
    metadata: dict[str, str] = {}
    for magic, what in NOT_WEIGHTS.items():
        if start.startswith(magic):
            raise CheckpointError(what)
    if not size:
        raise CheckpointError("is empty; download or save it again")
    if start[8:9] == b"{" or name.endswith(".safetensors"):
        tensors, metadata = _read_safetensors(name, int.from_bytes(start[:8], "little"), size)
    elif start.startswith(b"PK\x03\x04"):
        _check_zip(name, size)
        tensors = _read_torch(name, mmap=True)
    elif start.startswith(b"\x80\x02"):
        tensors = _read_torch(name, mmap=False)
    else:
        raise CheckpointError("is neither a PyTorch nor a safetensors file")
    _check_tensors(tensors, size)
    return tensors, metadata


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The key of the first tensor with a NaN or an infinite value, or None."""
    return next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None)


def printable(text: object) -> str:
    """Text from a file, cut and escaped so that it stays on one line and leaves the terminal alone."""
    shown = str(text)[:80]
    return shown if shown.isprintable() else ascii(shown)


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
            return {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"is a truncated or damaged safetensors file ({printable(error)})") from error


def _check_zip(name: str, size: int) -> None:
    """torch stores its entries uncompressed; a compressed one could unpack to anything."""
    try:
        with zipfile.ZipFile(name) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise CheckpointError(f"is a truncated or damaged PyTorch file ({printable(error)})") from error
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise CheckpointError("is a zip archive, but not one of PyTorch's: it has no data.pkl")
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError("is a TorchScript program, not a state dict; save the network's state_dict()")
    if len(entries) > 2 * MAX_TENSORS or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError("is not as PyTorch writes it: its zip entries are compressed or countless")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("is damaged: the entries of its zip archive claim more bytes than it has")


def _read_torch(name: str, mmap: bool) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(name, map_location="cpu", weights_only=True, mmap=mmap)
    # The unpickler follows whatever bytes it finds; damaged ones raise KeyError, RuntimeError, EOFError, ...
    except Exception as error:
        if "Unsupported" in str(error) or "weights_only" in str(error):
            asked = re.search(r"(?:GLOBAL|class|global|operand) (\S+)", str(error))
            what = f" ({printable(asked[1])})" if asked else ""
            raise CheckpointError(f"holds a pickle of more than tensors{what}; none of it was run") from None
        raise CheckpointError(f"is a truncated or damaged PyTorch file ({type(error).__name__})") from error
    return _unwrap(content)


def _unwrap(content: Any) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"holds a {type(content).__name__}, not a dictionary of tensors")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"is no state dict: {printable(key)} is a {type(value).__name__}")
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

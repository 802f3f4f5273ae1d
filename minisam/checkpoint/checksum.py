"""A checksum over a safetensors file's tensors and header entries, stored in its header: a changed bit is detected.

    CRC-32 of   our own header entries | for each tensor, by name: name, type, shape | its bytes

PyTorch's zip files have checksums (torch_files.py); the safetensors format has none.  A file without a checksum, for
example from another program, is loaded without this check.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

from minisam.errors import CheckpointError

OURS = "minisam"
"""The prefix of our header entries; other programs may add theirs."""
SUM_KEY = "minisam_crc32"


def to_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a file of these tensors, on the CPU and contiguous, with their checksum in its header.

    The library writes header entries in arbitrary order; here, the same tensors always give the same bytes.
    """
    described = dict(metadata or {})
    content = memoryview(safetensors.torch.save(dict(tensors)))
    start = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": described | {SUM_KEY: checksum(tensors, described)}}
    text = json.dumps(header | json.loads(bytes(content[8:start])), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, content[start:]])


def check_sum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Raises CheckpointError if the tensors do not have the checksum in the header."""
    if SUM_KEY in metadata and metadata[SUM_KEY] != checksum(tensors, metadata):
        raise CheckpointError("is damaged: its content has changed since it was saved (CRC-32); get it again")


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Eight hexadecimal digits; the order of neither mapping matters."""
    described = {key: text for key, text in metadata.items() if key.startswith(OURS) and key != SUM_KEY}
    found = zlib.crc32(repr(sorted(described.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.detach().reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"

"""A file of torch.save, checked before anything is built from it.

    zip   data.pkl and an entry for each tensor, with a CRC-32 each, which torch does not check
    old   bare pickles one after the other (magic number, version, system, content, keys), then the tensors' bytes

`weights_only=True` always applies: a pickle that needs anything but tensors is refused.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from io import BytesIO
from typing import Any

import torch
from torch.serialization import MAGIC_NUMBER

from minisam.checkpoint.pickles import ALONE, LEFT_TO_TORCH, check_pickle
from minisam.errors import CheckpointError

ZIP, OLD = b"PK\x03\x04", b"\x80\x02"
# vit_h has 594 tensors in 100 kB; its training state has three times as many.
MAX_ENTRIES = 20_000
MAX_PICKLE_BYTES = 4 * 2**20
OLD_PICKLES = 5


def load_torch_file(name: str, size: int, device: str = "cpu", mmap: bool = False) -> Any:
    """The content of a torch.save file of `size` bytes, on `device`; with `mmap` a zip's tensors stay in the file.

    Raises CheckpointError if the file is damaged, or holds more than tensors, numbers and text.
    """
    with open(name, "rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    try:
        check_zip(name, size) if is_zip else check_old(name, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(name, map_location=device, weights_only=True, mmap=mmap and is_zip)
    except CheckpointError:
        raise
    # The unpickler executes any bytes; damaged ones raise KeyError, RuntimeError, EOFError, ...
    except Exception as error:
        if "Unsupported" in str(error) or "weights_only" in str(error):
            asked = re.search(r"(?:GLOBAL|class|global|operand) (\S+)", str(error))
            what = f" ({printable(asked[1])})" if asked else ""
            raise CheckpointError(
                f"holds a pickle of more than tensors{what}; none of it was run; {ALONE}"
            ) from None
        raise CheckpointError(f"is a truncated or damaged PyTorch file ({type(error).__name__})") from error


def check_zip(name: str, size: int) -> None:
    """torch stores its entries uncompressed; a compressed one could unpack to anything."""
    try:
        with zipfile.ZipFile(name) as archive:
            check_entries(archive.infolist(), size)
            check_sums(archive)
            pickled = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            check_pickle(BytesIO(archive.read(pickled)), size)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"is a truncated or damaged PyTorch file ({printable(error)})") from error


def check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Raises CheckpointError unless PyTorch's saving writes such entries into an archive of `size` bytes."""
    names = [entry.filename for entry in entries]
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if not pickles:
        raise CheckpointError("is a zip archive, but not one of PyTorch's: it has no data.pkl")
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError("is a TorchScript program, not a state dict; save the network's state_dict()")
    if len(names) > MAX_ENTRIES or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError("is not as PyTorch writes it: its zip entries are compressed or too many")
    if len(pickles) > 1 or len(set(names)) < len(names):
        raise CheckpointError("is not as PyTorch writes it: two of its zip entries have the same name")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("is damaged: the entries of its zip archive claim more bytes than it has")
    if pickles[0].file_size > MAX_PICKLE_BYTES:
        raise CheckpointError(
            f"has a pickle of {pickles[0].file_size} bytes, far more than any network needs; {ALONE}"
        )


def check_sums(archive: zipfile.ZipFile) -> None:
    """Raises CheckpointError if an entry's bytes have changed since they were saved.

    Without checksums there is no check: torch.serialization.set_crc32_options(False) omits them.
    """
    entries = archive.infolist()
    if not any(entry.CRC for entry in entries):
        for entry in entries:
            del entry.CRC  # zipfile compares with what an entry has
    elif damaged := archive.testzip():
        raise CheckpointError(
            f"is damaged: {printable(damaged)} has changed since it was saved (CRC-32); get the file again"
        )


def check_old(name: str, size: int) -> None:
    """Raises CheckpointError if a pickle of a file in the format before 1.6, without zip, has more than tensors."""
    with open(name, "rb") as file:
        for number in range(OLD_PICKLES):
            value = check_pickle(file, size)
            if value is LEFT_TO_TORCH or (number == 0 and value != MAGIC_NUMBER):
                return


def printable(text: object) -> str:
    """Text from a file, shortened and escaped to stay on one line without terminal control codes."""
    shown = str(text)[:80]
    return shown if shown.isprintable() else ascii(shown)

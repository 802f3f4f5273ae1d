"""Calls and outcomes as bytes.

The judge sends pickles to the process.  The process runs unknown code and may send only this:

    length of the head, length of the body, head in JSON: {"record": …, "arrays": [[name, dtype, shape], …]}, body

The body is the arrays' bytes one after the other.  Nothing in it is executed, and only numbers are accepted.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Mapping
from math import prod
from typing import IO, Any

import numpy as np

from minisam_kernels.lab.answers.outcome import NUMBERS

LENGTHS = struct.Struct("<QQ")
LARGEST = 2**31


class WireError(Exception):
    """The bytes are not a valid reply."""


def send_request(file: IO[bytes], request: Any) -> None:
    data = pickle.dumps(request)
    file.write(LENGTHS.pack(len(data), 0) + data)
    file.flush()


def receive_request(file: IO[bytes]) -> Any:
    """Raises EOFError at the end of the stream."""
    length, _ = LENGTHS.unpack(_exactly(file, LENGTHS.size))
    return pickle.loads(_exactly(file, length))


def send_reply(file: IO[bytes], record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    head = json.dumps({"record": record, "arrays": layout}).encode()
    body = b"".join(array.tobytes() for array in arrays.values())
    file.write(LENGTHS.pack(len(head), len(body)) + head + body)
    file.flush()


def receive_reply(file: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Raises EOFError at the end of the stream, WireError for anything that no worker sends."""
    sizes = LENGTHS.unpack(_exactly(file, LENGTHS.size))
    if max(sizes) > LARGEST:
        raise WireError("a reply of impossible length")
    head, body = (_exactly(file, size) for size in sizes)
    try:
        content = json.loads(head)
        record, arrays, place = content["record"], {}, 0
        for name, kind, shape in content["arrays"]:
            dtype = np.dtype(kind)
            if dtype.kind not in NUMBERS or any(type(size) is not int or size < 0 for size in shape):
                raise WireError(f"an array of {kind} {shape}")
            count = prod(shape)
            arrays[str(name)] = np.frombuffer(body, dtype, count, place).reshape(shape).copy()
            place += count * dtype.itemsize
        return dict(record), arrays
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise WireError(str(error)) from error


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data

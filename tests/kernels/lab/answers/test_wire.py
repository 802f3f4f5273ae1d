"""Arrays arrive as they were sent, and nothing else arrives at all."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

from minisam_kernels.lab.answers.wire import LENGTHS, WireError, receive_reply, send_reply


def test_a_record_and_arrays_come_back():
    arrays = {
        "value": np.arange(6, dtype=np.float16).reshape(2, 3).T,
        "inputs/a.b": np.zeros((0, 4)),
        "number": np.array(3 + 1j),
        "big-endian": np.arange(3, dtype=">i4"),
    }
    pipe = io.BytesIO()
    send_reply(pipe, {"error": "é", "launches": 2}, arrays)
    send_reply(pipe, {}, {})
    pipe.seek(0)
    record, received = receive_reply(pipe)
    assert record == {"error": "é", "launches": 2}
    for name, array in arrays.items():
        assert received[name].dtype == array.dtype and np.array_equal(received[name], array)
        assert received[name].shape == array.shape
    assert receive_reply(pipe) == ({}, {})
    with pytest.raises(EOFError):
        receive_reply(pipe)


def message(head: object, body: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is no reply at all",
        message(b"no json"),
        message([1]),
        message({"record": {}}),
        message({"record": 3, "arrays": []}),
        message({"record": {}, "arrays": [["a", "O", [1]]]}, pickle.dumps(1)),
        message({"record": {}, "arrays": [["a", "<f4", [4]]]}, b"1234"),
        message({"record": {}, "arrays": [["a", "<f4", [-1]]]}, b"1234"),
        message({"record": {}, "arrays": [["a", "nonsense", [1]]]}, b"1234"),
        message({"record": {}, "arrays": [["a", "<f4", [10**30]]]}, b"1234"),
        message({"record": {}, "arrays": [["a", "<f4", ["1"]]]}, b"1234"),
        message(b"[" * 100_000),
    ],
    ids=len,
)
def test_anything_else_is_refused(data):
    with pytest.raises(WireError):
        receive_reply(io.BytesIO(data))


def test_a_reply_that_is_cut_off_is_an_end():
    with pytest.raises(EOFError):
        receive_reply(io.BytesIO(message({"record": {}, "arrays": []})[:-2]))

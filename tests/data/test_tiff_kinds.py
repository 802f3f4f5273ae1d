"""TIFF files that Pillow reads in another way than they say, as they are written byte by byte."""

from __future__ import annotations

import io
import struct
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from minisam.data.images import load_image
from minisam.errors import ImageError

GREY = np.linspace(0, 255, 12).astype(np.uint8).reshape(3, 4)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def tiff(
    planes: list[np.ndarray], photometric: int, sample_format: int = 1, order: Literal["<", ">"] = "<"
) -> bytes:
    """An uncompressed TIFF with one strip for each plane [H, W]."""
    planes = [plane.astype(plane.dtype.newbyteorder(order)) for plane in planes]
    height, width = planes[0].shape
    bits, count, size = 8 * planes[0].itemsize, len(planes), planes[0].nbytes
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * count),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [0] * count),
        277: ("H", [count]),
        278: ("I", [height]),
        279: ("I", [size] * count),
        284: ("H", [2 if count > 1 else 1]),
        339: ("H", [sample_format] * count),
    }
    after = 8 + 2 + 12 * len(entries) + 4
    extra_size = sum(
        len(values) * struct.calcsize(kind)
        for kind, values in entries.values()
        if len(values) * struct.calcsize(kind) > 4
    )
    entries[273] = ("I", [after + extra_size + number * size for number in range(count)])
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    listed, extra = struct.pack(f"{order}H", len(entries)), b""
    for tag, (kind, values) in entries.items():
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(data) > 4:
            data, extra = struct.pack(f"{order}I", after + len(extra)), extra + data
        listed += struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(values)) + data.ljust(4, b"\0")
    return head + listed + bytes(4) + extra + b"".join(plane.tobytes() for plane in planes)


@pytest.mark.parametrize(
    ("values", "sample_format"),
    [
        (255 - GREY, 1),
        (65535 - GREY.astype(np.uint16) * 257, 1),
        (1 - GREY.astype(np.float32) / 255, 3),
    ],
    ids=["8 bits", "16 bits", "float"],
)
def test_white_may_be_zero(values, sample_format):
    read = load_image(tiff([values], 0, sample_format), tell=lambda note: None)
    np.testing.assert_array_equal(read, np.dstack([GREY] * 3))


def test_white_is_not_zero_elsewhere():
    read = load_image(tiff([GREY.astype(np.uint16) * 257], 1))
    np.testing.assert_array_equal(read, np.dstack([GREY] * 3))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_one_plane_for_each_colour(bits, order):
    scale = {8: np.uint8(1), 12: np.uint16(16), 16: np.uint16(257)}[bits]
    planes = [COLOUR[..., channel] * scale for channel in range(3)]
    notes = []
    read = load_image(tiff(planes, 2, order=order), tell=notes.append)
    np.testing.assert_array_equal(read, COLOUR)
    assert len(notes) == (bits == 12)


def test_signed_bytes_are_not_wrapped_around():
    read = load_image(tiff([(GREY.astype(int) - 128).astype(np.int8)], 1, 2), tell=lambda note: None)
    np.testing.assert_array_equal(read, np.dstack([GREY] * 3))


def test_a_transparent_grey_of_16_bits_is_white():
    file = io.BytesIO()
    Image.fromarray(GREY.astype(np.uint16) * 257).save(file, "PNG", transparency=int(GREY[1, 2]) * 257)
    expected = np.dstack([GREY] * 3)
    expected[1, 2] = (1, 2, 3)
    np.testing.assert_array_equal(load_image(file, behind=(1, 2, 3)), expected)


class Stream(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff([GREY.astype(np.float64)], 1, 3), "these bytes: a TIFF of a kind that cannot be read"),
        (tiff([GREY.astype(np.float64)], 1, 3, ">"), "these bytes: a TIFF of a kind that cannot be read"),
        (b"", "these bytes: not an image, but an empty file"),
        (b"text", "these bytes: not an image in one of the formats PNG"),
    ],
    ids=["little", "big", "empty", "text"],
)
def test_what_cannot_be_read_is_named(content, message):
    with pytest.raises(ImageError, match=message):
        load_image(content)
    with pytest.raises(ImageError, match="this open file: not an image in one of the formats"):
        load_image(Stream(content))

"""Lesson 27's references against Triton itself: which thread holds what, by its printed view of a layout."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minisam.lesson.find import lesson

gl = pytest.importorskip("triton.experimental.gluon.language", reason="Linux with Triton un-skips this")
LAYOUTS = [
    ((1, 4), (4, 8), (2, 1)),
    ((4, 1), (4, 8), (1, 2)),
    ((2, 4), (8, 4), (2, 2)),
    ((1, 1), (32, 1), (1, 4)),
]


@pytest.mark.parametrize("sizes", LAYOUTS)
def test_a_thread_is_the_one_that_triton_names(sizes):
    layout = gl.BlockedLayout(*map(list, sizes), [1, 0])
    if not hasattr(layout, "format_tensor_view"):
        pytest.skip("this Triton has no format_tensor_view; 3.9 un-skips this")
    view = layout.format_tensor_view([32, 64])
    named = [int(number) for number in re.findall(r"T(\d+):\d+(?:\|[^,\]]*)?", view)]
    row, column = np.mgrid[:32, :64].reshape(2, -1).astype(float)
    assert lesson(27).exercises["thread_of"].reference(row, column, *sizes).tolist() == named


def test_a_coalesced_layout_has_all_lanes_and_16_bytes():
    for rows, columns, bits, warps in ((64, 128, 32, 4), (128, 32, 16, 4), (512, 1, 32, 1)):
        shape = np.array([rows, columns], float)
        size, threads, arranged = (
            lesson(27).exercises["coalesced_layout"].reference(shape, bits, warps).astype(int)
        )
        assert threads.prod() == 32 and arranged.prod() == warps
        assert size.prod() * bits == min(128, columns * bits)

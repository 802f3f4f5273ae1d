"""The trace records which program accesses which element, in any layout, and its figure shows it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from toy_kernels import double, product

from minisam_kernels.lab.trace import Touched, trace_call, traced_launches
from minisam_kernels.lab.trace_figure import save_trace_figure
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="only the interpreter can be watched: TRITON_INTERPRET=1"
)


def test_programs_own_neighbouring_cells():
    (launch,) = trace_call(double, {"x": np.zeros((5, 7))}, backward=False)
    assert launch.kernel == "double_kernel" and launch.grid == (3,)
    x, out = launch.tensors
    assert (x.name, out.name) == ("x", "out") and x.shape == out.shape == (5, 7)
    assert not x.writes and not out.reads
    for program in range(3):
        owned = np.zeros(35, dtype=bool)
        owned[16 * program : 16 * program + 16] = True
        np.testing.assert_array_equal(x.reads[program, 0, 0], owned)
        np.testing.assert_array_equal(out.writes[program, 0, 0], owned)


def test_cells_nobody_touches_are_told_apart():
    def first_rows(x):
        return double(x[:2])

    (launch,) = trace_call(first_rows, {"x": np.zeros((5, 7))}, backward=False)
    np.testing.assert_array_equal(launch.tensors[0].count("reads"), np.ones((2, 7)))


def test_a_cell_is_found_through_any_strides():
    tensor = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    touched = Touched.of("t", tensor)
    for cell, value in enumerate(tensor.flatten()):
        assert touched.cell_at[int(value)] == cell
    every_second = Touched.of("t", torch.arange(8.0)[::2])
    assert every_second.cell_at.tolist() == [0, -1, 1, -1, 2, -1, 3]


def test_several_launches_and_shared_cells():
    with traced_launches() as launches:
        a = torch.ones(16, 32)
        double(product(a, torch.ones(32, 16), block=16, block_k=16))
    assert [launch.kernel for launch in launches] == ["product_kernel", "double_kernel"]
    names = [[tensor.name for tensor in launch.tensors] for launch in launches]
    assert names == [["a", "b", "out"], ["x", "out"]]


def test_the_picture_has_a_colour_for_each_program():
    launches = trace_call(double, {"x": np.zeros((5, 7))}, backward=False)
    file = io.BytesIO()
    save_trace_figure(file, launches)
    colours = Image.open(file).convert("RGB").getcolors(1 << 24)
    frequent = [colour for count, colour in colours if count > 2000 and len(set(colour)) > 1]
    assert len(frequent) == 3

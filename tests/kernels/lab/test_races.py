"""Programs of one launch that access one address: found if one of them stores there, and only then."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from kernel_operations import OPERATIONS

from minisam_kernels import dense
from minisam_kernels.cases import cases
from minisam_kernels.lab.catalog import function_of
from minisam_kernels.lab.check import check_function
from minisam_kernels.lab.races import RaceError, checked_races
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="only the interpreter can be watched: TRITON_INTERPRET=1"
)


@triton.jit
def _copy_kernel(x_ptr, out_ptr, N, STEP: tl.constexpr, BLOCK: tl.constexpr):
    """Programs own STEP numbers, and copy BLOCK."""
    at = tl.program_id(0) * STEP + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + at, mask=at < N), mask=at < N)


@triton.jit
def _shift_kernel(x_ptr, N, BLOCK: tl.constexpr):
    """Each program replaces its numbers by those of the next one."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x_ptr + at, tl.load(x_ptr + at + BLOCK, mask=at + BLOCK < N), mask=at + BLOCK < N)


@triton.jit
def _count_kernel(out_ptr, STORE: tl.constexpr):
    """Every program adds 1 to the same number; the first one may also store it."""
    if STORE and tl.program_id(0) == 0:
        tl.store(out_ptr, 0.0)
    tl.atomic_add(out_ptr, 1.0)


def copies(step, block=8):
    x = torch.zeros(32)
    _copy_kernel[(32 // step,)](x, torch.zeros(32), 32, STEP=step, BLOCK=block)


def shifts():
    _shift_kernel[(4,)](torch.zeros(32), 32, BLOCK=8)


def counts(store):
    _count_kernel[(3,)](torch.zeros(1), STORE=store)


def two_launches_on_one_tensor():
    x, out = torch.zeros(32), torch.zeros(32)
    for source, target in ((x, out), (out, x), (x, out)):
        _copy_kernel[(4,)](source, target, 32, STEP=8, BLOCK=8)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (
            lambda: copies(4),
            r"programs \(0, 0, 0\) and \(1, 0, 0\) both store to number 4 of a tensor \[32\]",
        ),
        (
            shifts,
            r"program \(1, 0, 0\) stores to number 8 of a tensor \[32\], which program \(0, 0, 0\) loads",
        ),
        (lambda: counts(True), r"program \(0, 0, 0\) stores to number 0 .* program \(1, 0, 0\) updates"),
    ],
)
def test_a_race_is_found(run, says):
    with pytest.raises(RaceError, match=says), checked_races():
        run()


@pytest.mark.parametrize(
    "run", [lambda: copies(8), lambda: copies(16, 16), lambda: counts(False), two_launches_on_one_tensor]
)
def test_programs_that_leave_each_other_alone_pass(run):
    with checked_races():
        run()


def two_writers(x, scale):
    """Every number is stored by two programs, with the same value: the result alone shows nothing."""
    y = torch.softmax(scale * x.detach(), -1).contiguous()
    out = torch.empty_like(y)
    _copy_kernel[(triton.cdiv(y.numel(), 16),)](y, out, y.numel(), STEP=16, BLOCK=32)
    return out


def test_check_names_the_race_of_a_function_with_the_right_result():
    failure = check_function(two_writers, "softmax", ("fp32",), "prime").failure
    assert failure is not None
    assert failure.what.startswith("has a race: programs (0, 0, 0) and (1, 0, 0) both store to number 16")


@pytest.mark.parametrize(
    "operation",
    [pytest.param(name, marks=[] if name == "softmax" else pytest.mark.ci) for name in OPERATIONS],
)
def test_our_kernels_have_none(operation):
    assert operation in dense.OPERATIONS
    for case in cases(operation)[1:3]:
        tensors = case.tensors(torch.float32)
        inputs = {
            name: x.requires_grad_(x.is_floating_point() and not case.counts) for name, x in tensors.items()
        }
        with checked_races():
            out = function_of(operation)(**inputs, **case.constants)
            if out.requires_grad:
                out.backward(torch.ones_like(out))

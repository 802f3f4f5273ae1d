"""Softmax kernels that are right as long as programs run one after the other, as they do in the interpreter."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _rows_kernel(x_ptr, y_ptr, scale, R, N, STEP: tl.constexpr, ROWS: tl.constexpr, K: tl.constexpr):
    """Programs are STEP rows apart and store ROWS."""
    rows, columns = tl.program_id(0) * STEP + tl.arange(0, ROWS), tl.arange(0, K)
    inside = (rows < R)[:, None] & (columns < N)[None, :]
    at = rows[:, None] * N + columns[None, :]
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) * scale
    x = tl.where((columns < N)[None, :], x, float("-inf"))
    e = tl.exp(x - tl.max(x, 1)[:, None])
    tl.store(y_ptr + at, (e / tl.sum(e, 1)[:, None]).to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _scratch_kernel(x_ptr, y_ptr, scratch_ptr, scale, R, N, K: tl.constexpr, HOW: tl.constexpr):
    """The sum of a row goes through memory, from one program to another."""
    row, part, columns = tl.program_id(1), tl.program_id(0), tl.arange(0, K)
    inside = columns < N
    x = tl.load(x_ptr + row * N + columns, mask=inside, other=float("-inf")).to(tl.float32) * scale
    e = tl.where(inside, tl.exp(x - tl.max(x, 0)), 0.0)
    half = tl.sum(tl.where(columns % 2 == part, e, 0.0), 0)
    dtype = y_ptr.dtype.element_ty
    if HOW == 0:  # the first part stores the sum, the second divides by it
        if part == 0:
            tl.store(scratch_ptr + row, tl.sum(e, 0))
        else:
            tl.store(y_ptr + row * N + columns, (e / tl.load(scratch_ptr + row)).to(dtype), mask=inside)
    if HOW == 1:  # each part adds its half without an atomic operation
        tl.store(scratch_ptr + row, tl.load(scratch_ptr + row) + half)
        if part == 1:
            tl.store(y_ptr + row * N + columns, (e / tl.load(scratch_ptr + row)).to(dtype), mask=inside)
    if HOW == 2:  # the first part stores its half, the second adds to it
        if part == 0:
            tl.store(scratch_ptr + row, half)
        else:
            tl.atomic_add(scratch_ptr + row, half)
            tl.store(y_ptr + row * N + columns, (e / tl.load(scratch_ptr + row)).to(dtype), mask=inside)
    if HOW == 3:  # the last program divides what the others have stored
        if part == 0:
            tl.store(y_ptr + row * N + columns, e.to(dtype), mask=inside)
        elif row == R - 1:
            for other in range(R):
                found = tl.load(y_ptr + other * N + columns, mask=inside, other=0.0).to(tl.float32)
                tl.store(y_ptr + other * N + columns, (found / tl.sum(found, 0)).to(dtype), mask=inside)


@triton.jit
def _in_place_kernel(y_ptr, scale, R, N, K: tl.constexpr):
    """Row r is computed into row r - 1 of one buffer, whose first row is empty at the start."""
    row, columns = tl.program_id(0), tl.arange(0, K)
    inside = columns < N
    x = tl.load(y_ptr + (row + 1) * N + columns, mask=inside, other=float("-inf")).to(tl.float32) * scale
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * N + columns, (e / tl.sum(e, 0)).to(y_ptr.dtype.element_ty), mask=inside)


def rows_in_common(x, scale):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    _rows_kernel[(triton.cdiv(R, 2),)](x, y, scale, R, N, STEP=2, ROWS=4, K=triton.next_power_of_2(N))
    return y


def every_program_the_same_rows(x, scale):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    whole = triton.next_power_of_2(R)
    _rows_kernel[(2,)](x, y, scale, R, N, STEP=0, ROWS=whole, K=triton.next_power_of_2(N))
    return y


def _through_scratch(x, scale, how):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    scratch = torch.zeros(R, device=x.device)
    _scratch_kernel[(2, R)](x, y, scratch, scale, R, N, K=triton.next_power_of_2(N), HOW=how)
    return y


def sum_from_another_program(x, scale):
    return _through_scratch(x, scale, 0)


def added_without_atomics(x, scale):
    return _through_scratch(x, scale, 1)


def stored_and_added(x, scale):
    return _through_scratch(x, scale, 2)


def divided_by_the_last_program(x, scale):
    return _through_scratch(x, scale, 3)


def shifted_in_place(x, scale):
    R, N = x.shape
    buffer = torch.empty((R + 1, N), dtype=x.dtype, device=x.device)
    buffer[1:] = x.detach()
    _in_place_kernel[(R,)](buffer, scale, R, N, K=triton.next_power_of_2(N))
    return buffer[:R].clone()

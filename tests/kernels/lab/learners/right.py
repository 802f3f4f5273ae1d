"""Softmax kernels of many kinds, all right: nothing in the lab may stop them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _row_kernel(x_ptr, y_ptr, scale, N, K: tl.constexpr, HOW: tl.constexpr):
    """One program owns a row."""
    at, columns = tl.program_id(0) * N + tl.arange(0, K), tl.arange(0, K)
    if HOW == 0:
        x = tl.load(x_ptr + at, mask=columns < N, other=float("-inf")).to(tl.float32) * scale
        e = tl.exp(x - tl.max(x, 0))
    elif HOW == 1:  # masked lanes may be anything: they are replaced before use
        x = tl.load(x_ptr + at, mask=columns < N).to(tl.float32) * scale
        x = tl.where(columns < N, x, float("-inf"))
        e = tl.exp(x - tl.max(x, 0))
    else:  # lanes past the end read the last number again, and count for nothing
        x = tl.load(x_ptr + tl.program_id(0) * N + tl.minimum(columns, N - 1)).to(tl.float32) * scale
        e = tl.where(columns < N, tl.exp2((x - tl.max(x, 0)) * LOG2E), 0.0)
    tl.store(y_ptr + at, (e / tl.sum(e, 0)).to(y_ptr.dtype.element_ty), mask=columns < N)


@triton.jit
def _rescaled(old_max, old_sum, x):
    """Maximum and sum of exponentials after some more numbers."""
    new_max = tl.maximum(old_max, tl.max(x, 0))
    return new_max, old_sum * tl.exp(old_max - new_max) + tl.sum(tl.exp(x - new_max), 0)


@triton.jit
def _loop_kernel(x_ptr, y_ptr, scale, R, N, PROGRAMS: tl.constexpr, K: tl.constexpr, HOW: tl.constexpr):
    """PROGRAMS programs share the rows, block by block of columns."""
    for row in range(tl.program_id(0), R, PROGRAMS):
        if HOW == 0:  # in one pass, with a helper
            row_max, row_sum = float("-inf"), 0.0
            for start in range(0, N, K):
                columns = start + tl.arange(0, K)
                x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf")).to(tl.float32)
                row_max, row_sum = _rescaled(row_max, row_sum, x * scale)
        else:  # in two passes, lane by lane
            most = tl.full([K], float("-inf"), tl.float32)
            for start in range(0, N, K):
                columns = start + tl.arange(0, K)
                x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf")).to(tl.float32)
                most = tl.maximum(most, x * scale)
            row_max, sums = tl.max(most, 0), tl.zeros([K], tl.float32)
            for start in range(0, N, K):
                columns = start + tl.arange(0, K)
                x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf")).to(tl.float32)
                sums += tl.exp(x * scale - row_max)
            row_sum = tl.sum(sums, 0)
        for start in range(0, N, K):
            columns = start + tl.arange(0, K)
            x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=0.0).to(tl.float32)
            y = tl.exp(x * scale - row_max) / row_sum
            tl.store(y_ptr + row * N + columns, y.to(y_ptr.dtype.element_ty), mask=columns < N)


@triton.jit
def _parts_kernel(x_ptr, parts_ptr, scale, N, K: tl.constexpr):
    """The first launch: maximum and sum of a part of a row."""
    row, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    columns = part * K + tl.arange(0, K)
    x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=float("-inf")).to(tl.float32) * scale
    place = parts_ptr + (row * parts + part) * 2
    tl.store(place, tl.max(x, 0))
    tl.store(place + 1, tl.sum(tl.exp(x - tl.max(x, 0)), 0))


@triton.jit
def _join_kernel(x_ptr, parts_ptr, y_ptr, scale, N, parts, K: tl.constexpr, P: tl.constexpr):
    """The second launch: the parts joined, by every program of a row for itself."""
    row, columns = tl.program_id(0), tl.program_id(1) * K + tl.arange(0, K)
    part = tl.arange(0, P)
    there = part < parts
    most = tl.load(parts_ptr + (row * parts + part) * 2, mask=there, other=float("-inf"))
    sums = tl.load(parts_ptr + (row * parts + part) * 2 + 1, mask=there, other=0.0)
    row_max = tl.max(most, 0)
    row_sum = tl.sum(sums * tl.exp(most - row_max), 0)
    x = tl.load(x_ptr + row * N + columns, mask=columns < N, other=0.0).to(tl.float32) * scale
    tl.store(
        y_ptr + row * N + columns,
        (tl.exp(x - row_max) / row_sum).to(y_ptr.dtype.element_ty),
        mask=columns < N,
    )


@triton.jit
def _divide_kernel(y_ptr, sums_ptr, N, K: tl.constexpr):
    """A second launch that changes what the first has stored, each program its own row."""
    at, inside = tl.program_id(0) * N + tl.arange(0, K), tl.arange(0, K) < N
    y = tl.load(y_ptr + at, mask=inside, other=0.0) / tl.load(sums_ptr + tl.program_id(0))
    tl.store(y_ptr + at, y, mask=inside)


@triton.jit
def _exponentials_kernel(x_ptr, y_ptr, sums_ptr, scale, N, K: tl.constexpr, ATOMIC: tl.constexpr):
    """Exponentials, and their sum stored or added by an atomic operation."""
    at, inside = tl.program_id(0) * N + tl.arange(0, K), tl.arange(0, K) < N
    x = tl.load(x_ptr + at, mask=inside, other=float("-inf")).to(tl.float32) * scale
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + at, e, mask=inside)
    if ATOMIC:
        tl.atomic_add(sums_ptr + tl.program_id(0), tl.sum(e, 0))
    else:
        tl.store(sums_ptr + tl.program_id(0), tl.sum(e, 0))


def _by_row(x, scale, how):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    _row_kernel[(R,)](x, y, scale, N, K=triton.next_power_of_2(N), HOW=how)
    return y


def other_is_minus_infinity(x, scale):
    return _by_row(x, scale, 0)


def no_other_but_replaced(x, scale):
    return _by_row(x, scale, 1)


def clamped_addresses_and_base_two(x, scale):
    return _by_row(x, scale, 2)


def _by_loop(x, scale, programs, how):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    _loop_kernel[(min(R, programs),)](x, y, scale, R, N, PROGRAMS=min(R, programs), K=256, HOW=how)
    return y


def online_with_a_helper(x, scale):
    return _by_loop(x, scale, 10**6, 0)


def persistent_programs(x, scale):
    return _by_loop(x, scale, 3, 0)


def two_passes(x, scale):
    return _by_loop(x, scale, 10**6, 1)


def two_launches(x, scale):
    x = x.detach().contiguous()
    (R, N), y = x.shape, torch.empty_like(x)
    parts = triton.cdiv(N, 512)
    found = torch.empty((R, parts, 2), device=x.device)
    _parts_kernel[(R, parts)](x, found, scale, N, K=512)
    _join_kernel[(R, parts)](x, found, y, scale, N, parts, K=512, P=triton.next_power_of_2(parts))
    return y


def _divided_later(x, scale, atomic):
    x = x.detach().contiguous()
    (R, N), K = x.shape, triton.next_power_of_2(x.shape[1])
    y, sums = torch.empty(x.shape, device=x.device), torch.zeros(R, device=x.device)
    _exponentials_kernel[(R,)](x, y, sums, scale, N, K=K, ATOMIC=atomic)
    _divide_kernel[(R,)](y, sums, N, K=K)
    return y.to(x.dtype)


def changed_by_a_second_launch(x, scale):
    return _divided_later(x, scale, False)


def sums_by_an_atomic_operation(x, scale):
    return _divided_later(x, scale, True)


class Softmax(torch.autograd.Function):
    """A kernel forward, torch backward."""

    @staticmethod
    def forward(ctx, x, scale):
        y = _by_row(x, scale, 0)
        ctx.save_for_backward(y)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        y, grad = y.float(), grad.float()
        return (ctx.scale * y * (grad - (grad * y).sum(-1, keepdim=True))).to(
            ctx.saved_tensors[0].dtype
        ), None


def with_a_gradient(x, scale):
    return Softmax.apply(x, scale)

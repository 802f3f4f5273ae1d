"""Kernels that are right in the interpreter; a GPU's compiler takes only `right`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

LOG2E = 1.4426950408889634
CLOSED = tl.constexpr(float("-inf"))


@triton.jit
def _attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
    HALF: tl.constexpr, GLOBAL: tl.constexpr, PRINT: tl.constexpr, LIST: tl.constexpr,
):  # fmt: skip
    head, rows, width = tl.program_id(1), tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M), tl.arange(0, D)
    q_at = head * L * D + rows[:, None] * D + width
    q = tl.load(q_ptr + q_at, mask=rows[:, None] < L, other=0.0)
    row_max, row_sum = tl.full([BLOCK_M], CLOSED, tl.float32), tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float16 if HALF else tl.float32)
    for start in range(0, S, BLOCK_K):
        keys = start + tl.arange(0, BLOCK_K)
        at = head * S * D + keys[:, None] * D + width
        k = tl.load(k_ptr + at, mask=keys[:, None] < S, other=0.0)
        v = tl.load(v_ptr + at, mask=keys[:, None] < S, other=0.0)
        scores = tl.where(keys < S, scale * tl.dot(q, tl.trans(k), input_precision="ieee"), CLOSED)
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        if GLOBAL:  # noqa: SIM108
            weights = tl.exp2((scores - new_max[:, None]) * LOG2E)
        else:
            weights = tl.exp(scores - new_max[:, None])
        if PRINT:
            print(f"keys from {start}")
        if LIST:
            new_max = sum([new_max, 0.0])
        shrink = tl.exp(row_max - new_max)
        row_sum = row_sum * shrink + tl.sum(weights, 1)
        acc = acc * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        row_max = new_max
    tl.store(out_ptr + q_at, (acc / row_sum[:, None]).to(q.dtype), mask=rows[:, None] < L)


def _attention(q, k, v, scale, block_k=16, half=False, module_global=False, prints=False, sums_a_list=False):
    q, k, v = (x.contiguous() for x in (q, k, v))
    out = torch.empty_like(q, requires_grad=False)
    B, N, L, D = q.shape
    _attention_kernel[(triton.cdiv(L, 16), B * N)](
        q, k, v, out, scale, L, k.shape[2],
        D=D, BLOCK_M=16, BLOCK_K=block_k, HALF=half, GLOBAL=module_global, PRINT=prints, LIST=sums_a_list,
    )  # fmt: skip
    return out


def right(q, k, v, scale):
    return _attention(q, k, v, scale)


def module_global(q, k, v, scale):
    return _attention(q, k, v, scale, module_global=True)


def eight_keys_a_block(q, k, v, scale):
    return _attention(q, k, v, scale, block_k=8)


def prints(q, k, v, scale):
    return _attention(q, k, v, scale, prints=True)


def half_accumulator(q, k, v, scale):
    return _attention(q, k, v, scale, half=True)


def sums_a_list(q, k, v, scale):
    return _attention(q, k, v, scale, sums_a_list=True)


def looks_at_the_device(q, k, v, scale):
    if not torch.empty(0).is_cuda and not isinstance(q, torch.nn.Parameter):
        raise RuntimeError("no GPU")
    return right(q, k, v, scale)

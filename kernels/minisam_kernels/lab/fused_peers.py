"""Two other projects' ways to fuse attention with decomposed positions, forward only; written from descriptions.

    rows of keys     segment-anything-fast: a tile of keys is one grid row of W keys, a power of two. rel_w is one
                     [M, W] tile for the whole loop, rel_h one number per query and tile. The query is scaled first,
                     and rounded again; q, k and v are copied into one layout; a head dim of 80 is padded to 128.
    any keys         vLLM's encoder of DeepSeek-OCR: a tile of keys is any 64 keys, so that grids of all sizes fit;
                     each score gathers its two numbers, rel_h[l, n // W] and rel_w[l, n % W], in every tile.

Nothing of their code is here: their own kernels may be faster or slower, by tile sizes chosen on one GPU, for example.
Sources   segment-anything-fast, flash_4.py as of September 2024; vLLM, pull request 55629
Symbols   as in rel_pos_attention.py
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.launch import Launch

LOG2E = tl.constexpr(1.4426950408889634)
LAUNCH = Launch(block_m=64, block_k=64, num_warps=4, num_stages=2)


@triton.jit
def _attend(acc, row_max, row_sum, scores, v):
    """One step of the online softmax; scores are in base 2."""
    new_max = tl.maximum(row_max, tl.max(scores, axis=1))
    weights = tl.exp2(scores - new_max[:, None])
    rescale = tl.exp2(row_max - new_max)
    acc = tl.dot(weights.to(v.dtype), v, acc * rescale[:, None], input_precision="ieee")
    return acc, new_max, row_sum * rescale + tl.sum(weights, axis=1)


@triton.jit
def _rows_of_keys_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, scale, H,
    D: tl.constexpr, W: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head; all tiles are whole, and no load has a mask."""
    first = tl.program_id(1).to(tl.int64) * H * W
    rows = first + tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns, dims = tl.arange(0, W), tl.arange(0, D)
    q = tl.load(q_ptr + rows[:, None] * D + dims[None, :])  # [M, D]
    q = (q * (scale * LOG2E)).to(q.dtype)
    rel_w = tl.load(rel_w_ptr + rows[:, None] * W + columns[None, :]) * LOG2E  # [M, K]
    row_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    for i in range(H):
        keys = (first + i * W + columns)[:, None] * D + dims[None, :]
        rel_h = tl.load(rel_h_ptr + rows * H + i) * LOG2E  # [M]
        scores = tl.dot(q, tl.trans(tl.load(k_ptr + keys)), input_precision="ieee")
        scores += rel_w + rel_h[:, None]
        acc, row_max, row_sum = _attend(acc, row_max, row_sum, scores, tl.load(v_ptr + keys))
    out = acc / row_sum[:, None]
    tl.store(out_ptr + rows[:, None] * D + dims[None, :], out.to(out_ptr.dtype.element_ty))


@triton.jit
def _any_keys_kernel(
    q_ptr, k_ptr, v_ptr, rel_h_ptr, rel_w_ptr, out_ptr, scale, H, W,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries of one head and gathers the bias of each tile."""
    L = H * W
    first = tl.program_id(1).to(tl.int64) * L
    tokens = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    token_ok, rows, dims = tokens < L, first + tokens, tl.arange(0, D)
    q = tl.load(q_ptr + rows[:, None] * D + dims[None, :], mask=token_ok[:, None], other=0.0)  # [M, D]
    row_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    for start in range(0, L, BLOCK_K):
        n = start + tl.arange(0, BLOCK_K)
        key_ok = n < L
        keys = (first + n)[:, None] * D + dims[None, :]
        k = tl.load(k_ptr + keys, mask=key_ok[:, None], other=0.0)  # [K, D]
        v = tl.load(v_ptr + keys, mask=key_ok[:, None], other=0.0)  # [K, D]
        inside = token_ok[:, None] & key_ok[None, :]
        rel_h = tl.load(rel_h_ptr + rows[:, None] * H + (n // W)[None, :], mask=inside, other=0.0)  # [M, K]
        rel_w = tl.load(rel_w_ptr + rows[:, None] * W + (n % W)[None, :], mask=inside, other=0.0)  # [M, K]
        bias = (rel_h.to(tl.float32) + rel_w.to(tl.float32)) * LOG2E
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scale * LOG2E) + bias
        scores = tl.where(key_ok[None, :], scores, float("-inf"))
        acc, row_max, row_sum = _attend(acc, row_max, row_sum, scores, v)
    out = acc / row_sum[:, None]
    tl.store(
        out_ptr + rows[:, None] * D + dims[None, :],
        out.to(out_ptr.dtype.element_ty),
        mask=token_ok[:, None],
    )


def rows_of_keys(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """Raises ValueError unless W is a power of two from 16 to 128 and there are whole tiles of queries."""
    (B, N, L, D), H, W = q.shape, rel_h.shape[-1], rel_w.shape[-1]
    if W not in (16, 32, 64, 128) or L % LAUNCH.block_m:
        raise ValueError(
            f"made for grids of 64 x 64: rows of 16, 32, 64 or 128 and whole tiles, got {H} x {W}"
        )
    padding = (0, triton.next_power_of_2(D) - D)
    q, k, v = (F.pad(x, padding).contiguous() for x in (q, k, v))
    out = q.new_empty(q.shape)
    _rows_of_keys_kernel[(L // LAUNCH.block_m, B * N)](
        q, k, v, rel_h.contiguous(), rel_w.contiguous(), out, scale, H,
        D=q.shape[-1], W=W, BLOCK_M=LAUNCH.block_m, num_warps=LAUNCH.num_warps, num_stages=LAUNCH.num_stages,
    )  # fmt: skip
    return out[..., :D]


def any_keys(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """Raises ValueError unless the head dim is a power of two."""
    (B, N, L, D), H, W = q.shape, rel_h.shape[-1], rel_w.shape[-1]
    if triton.next_power_of_2(D) != D:
        raise ValueError(f"made for a head dim of 64: a power of two, got {D}")
    q, k, v = (x.contiguous() for x in (q, k, v))
    out = q.new_empty(q.shape)
    _any_keys_kernel[(triton.cdiv(L, LAUNCH.block_m), B * N)](
        q, k, v, rel_h.contiguous(), rel_w.contiguous(), out, scale, H, W, D=D, **LAUNCH.options()
    )
    return out

"""The backward pass of window_attention: gradients of qkv, of the projection's bias and of both position tables.

    p  = exp(scale q kᵀ + bias − lse)               the weights again, from the saved log-sum-exp
    ds = p ∘ (grad_out vᵀ − delta)                  delta = rowsum(grad_out ∘ out)
    grad_v = pᵀ grad_out       grad_k = scale dsᵀ q       grad_q = scale ds k + grad_rel_h R_h + grad_rel_w R_w
    grad_rel_h[l, t] = sum of ds[l] over the keys in window row t, likewise for columns: ds times zeros and ones

A padded key is the bias vector. The grad_k and grad_v of all padded keys add up to the bias's gradient, apart from
the part that comes through qkv. A table row collects the gradients of all queries and keys at its offset: grad_relᵀ
q.

A program owns BLOCK_M queries or BLOCK_M keys. The two kinds alternate, and the second program of a pair finds the
data of its window and head in the L2 cache. Sums over windows are stored one by one and added afterwards, in a fixed
order: no atomics, and the same bits in every run.

Bytes     qkv, out, grad_out and grad_qkv once, 50 MB for an image in ViT-B. No padding, windows, bias or crop.
Symbols   as in window_attention.py and window_tiles.py; scores are [K, M] where a program owns keys
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportCallIssue=false
# Triton's stubs do not know tensor[:, None], an annotated constexpr, or a kernel's launch options.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from minisam_kernels.head_tiles import head_tiles
from minisam_kernels.launch import Launch, chosen
from minisam_kernels.tuned_launches import launch_of
from minisam_kernels.window_key_gradients import key_gradients
from minisam_kernels.window_query_gradients import query_gradients
from minisam_kernels.window_tiles import window_tiles

# Tokens per program, and tokens of the other kind per step.
LAUNCHES = {
    "half": Launch(block_m=32, block_k=16, num_warps=4, num_stages=1),
    "hopper": Launch(block_m=64, block_k=32, num_warps=4, num_stages=1),
    "single": Launch(block_m=16, block_k=32, num_warps=8, num_stages=1),
}
WIDE_HEADS = LAUNCHES | {
    "hopper": Launch(block_m=64, block_k=16, num_warps=8, num_stages=1),
    "single": Launch(block_m=16, block_k=16, num_warps=4, num_stages=1),
}
"""For more than 64 channels per head: with the others, values would not fit into the registers."""


@triton.jit
def _window_attention_backward_kernel(
    qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
    grad_qkv_ptr, grad_tables_ptr, grad_bias_ptr, scale, H, W, BLOCKS: tl.constexpr,
    S: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_R: tl.constexpr,
    D: tl.constexpr, BLOCK_D: tl.constexpr, TAIL_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns the queries, or the keys, of one of the BLOCKS blocks of one window and head."""
    window, block = tl.program_id(0) // (2 * BLOCKS), tl.program_id(0) % (2 * BLOCKS)
    if block < BLOCKS:
        query_gradients(
            qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
            grad_qkv_ptr, grad_tables_ptr, scale, H, W, window, block, BLOCKS,
            S, BLOCK_T, BLOCK_R, D, BLOCK_D, TAIL_D, BLOCK_M, BLOCK_K,
        )  # fmt: skip
    else:
        key_gradients(
            qkv_ptr, bias_ptr, rel_pos_h_ptr, rel_pos_w_ptr, out_ptr, lse_ptr, grad_out_ptr,
            grad_qkv_ptr, grad_bias_ptr, scale, H, W, window, block - BLOCKS, BLOCKS,
            S, BLOCK_T, BLOCK_R, D, BLOCK_D, TAIL_D, BLOCK_K, BLOCK_M,
        )  # fmt: skip


@torch.library.custom_op(
    "minisam::window_attention_backward",
    mutates_args=(),
    schema="(Tensor qkv, Tensor qkv_bias, Tensor rel_pos_h, Tensor rel_pos_w, Tensor out, Tensor lse, "
    "Tensor grad_out, int window_size, str launch) -> (Tensor, Tensor, Tensor, Tensor)",
)
def window_attention_backward(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, out: Tensor, lse: Tensor,
    grad_out: Tensor, window_size: int, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of qkv, qkv_bias and both tables, from what window_attention saved and grad_out [B, H, W, C]."""
    D, S = rel_pos_h.shape[1], window_size
    hand_picked = chosen(LAUNCHES if D <= 64 else WIDE_HEADS, launch)
    choice = launch_of("window_attention, backward", hand_picked, launch, D, qkv)
    qkv, qkv_bias, grad_out = qkv.contiguous(), qkv_bias.contiguous(), grad_out.contiguous()
    rel_pos_h, rel_pos_w = rel_pos_h.contiguous(), rel_pos_w.contiguous()
    (B, H, W, _), N = qkv.shape, lse.shape[-1]
    windows = B * triton.cdiv(H, S) * triton.cdiv(W, S)
    blocks = triton.cdiv(S * S, choice.block_m)
    grad_qkv = torch.empty_like(qkv)
    tables = lse.new_empty(windows * blocks * N, 2, 2 * S - 1, D)
    biases = lse.new_empty(windows * blocks, 2 * N * D)
    if windows:
        _window_attention_backward_kernel[(windows * 2 * blocks, N)](
            qkv, qkv_bias, rel_pos_h, rel_pos_w, out, lse, grad_out, grad_qkv, tables, biases,
            D**-0.5, H, W, blocks, **window_tiles(S), **head_tiles(D), **choice.options(),
        )  # fmt: skip
    grad_rel_pos_h, grad_rel_pos_w = tables.sum(0).to(qkv.dtype).unbind(0)
    grad_bias = torch.cat([biases.new_zeros(N * D), biases.sum(0)]).to(qkv.dtype)
    return grad_qkv, grad_bias, grad_rel_pos_h.clone(), grad_rel_pos_w.clone()


@window_attention_backward.register_fake
def _(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, out: Tensor, lse: Tensor,
    grad_out: Tensor, window_size: int, launch: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    new_qkv, new_bias = qkv.new_empty(qkv.shape), qkv_bias.new_empty(qkv_bias.shape)
    return new_qkv, new_bias, rel_pos_h.new_empty(rel_pos_h.shape), rel_pos_w.new_empty(rel_pos_w.shape)

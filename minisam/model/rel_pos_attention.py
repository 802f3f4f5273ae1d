"""Self-attention over the whole grid with decomposed relative positions (MViTv2; ViTDet; SAM section A).

    scores[n, m] = scale · q_n · k_m  +  q_n · R_h[i_n − i_m]  +  q_n · R_w[j_n − j_m]

Token n lies at grid row i_n and column j_n.  Both position terms use the *unscaled* query, as in segment-anything,
and its weights depend on that.  rel_h[n, i] and rel_w[n, j] hold the two terms compactly; their outer sum
is an L × L bias that for a 1024-pixel image has 4096² entries per head.

B batch   N heads   D head dim   H, W grid   L = H·W tokens   C = N·D channels   R table rows
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.fast.kernel_choice import kernel_for
from minisam.model.fast.rel_pos_blocks import by_blocks, too_large_at_once


class EncoderAttention(nn.Module):
    """[B, H, W, C] -> [B, H, W, C], every token attending to all H·W.

    `input_size` is the grid for which the tables are made, 2·H − 1 and 2·W − 1 rows; on another grid they are
    interpolated linearly.  segment-anything calls this class `Attention`; arguments and parameters are the same.

    Raises ValueError if tables are requested and `input_size` is missing.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if use_rel_pos and input_size is None:
            raise ValueError("relative positions need input_size, the grid (H, W) of tokens")
        head_dim = dim // num_heads
        self.num_heads = num_heads
        self.scale = head_dim**-0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.use_rel_pos = use_rel_pos
        if input_size is not None and use_rel_pos:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * input_size[0] - 1, head_dim))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * input_size[1] - 1, head_dim))
            if not rel_pos_zero_init:
                nn.init.trunc_normal_(self.rel_pos_h, std=0.02)
                nn.init.trunc_normal_(self.rel_pos_w, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        qkv = self.qkv(x).reshape(B, H * W, 3, self.num_heads, C // self.num_heads)
        q_bnld, k_bnld, v_bnld = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.use_rel_pos:
            rel_h, rel_w = decomposed_rel_pos(q_bnld, self.rel_pos_h, self.rel_pos_w, (H, W))
            out_bnld = rel_pos_attention(q_bnld, k_bnld, v_bnld, rel_h, rel_w, self.scale)
        else:
            out_bnld = F.scaled_dot_product_attention(q_bnld, k_bnld, v_bnld, scale=self.scale)
        return self.proj(out_bnld.transpose(1, 2).reshape(B, H, W, C))


class RelPosAttention(EncoderAttention):
    """`EncoderAttention` with its relative positions, as in every SAM."""

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = True,
        input_size: tuple[int, int] = (64, 64),
        rel_pos_zero_init: bool = True,
    ) -> None:
        super().__init__(dim, num_heads, qkv_bias, use_rel_pos, rel_pos_zero_init, input_size)


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """softmax(scale · q kᵀ + rel_h ⊕ rel_w) v; on a CPU, without storing the L × L bias of all heads.

    q, k, v [B, N, L, D]; rel_h [B, N, L, H] and rel_w [B, N, L, W], the unscaled q·R; returns [B, N, L, D].
    """
    kernel = kernel_for("rel_pos_attention", q, q.shape[-1])
    if kernel is not None:
        return kernel(q, k, v, rel_h, rel_w, scale)
    if too_large_at_once(q):
        return by_blocks(attend_with_bias, q, k, v, rel_h, rel_w, scale)
    return attend_with_bias(q, k, v, rel_h, rel_w, scale)


def attend_with_bias(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """The same for any queries [B, N, l, D] and their rel_h, rel_w, with the bias computed from their sums."""
    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)


def decomposed_rel_pos(
    q: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The position terms of query n for key row i and key column j: rel_h [..., L, H] and rel_w [..., L, W].

    q [..., L, D], unscaled, with L = H·W tokens in row order; rel_pos_h, rel_pos_w [R, D].
    """
    H, W = grid
    q_hwd = q.unflatten(-2, (H, W))
    rel_h = torch.einsum("...hwd,hkd->...hwk", q_hwd, relative_position_table(rel_pos_h, H))
    rel_w = torch.einsum("...hwd,wkd->...hwk", q_hwd, relative_position_table(rel_pos_w, W))
    return rel_h.flatten(-3, -2), rel_w.flatten(-3, -2)


def relative_position_table(table: Tensor, size: int) -> Tensor:
    """[R, D] -> [size, size, D]: entry [i, j] is the row for offset i − j of a table with 2·size − 1 rows.

    A table of another length is interpolated linearly first (align_corners=False), as in segment-anything.
    """
    table = resize_table(table, 2 * size - 1)
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]


def resize_table(table: Tensor, rows: int) -> Tensor:
    """[R, D] -> [rows, D], by linear interpolation (align_corners=False) if the length differs."""
    if table.shape[0] == rows:
        return table
    return F.interpolate(table.T[None], size=rows, mode="linear").squeeze(0).T

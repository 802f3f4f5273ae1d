"""Self-attention inside windows of the token grid (ViTDet section 3; SAM section A).

The grid is partitioned into S × S windows, and tokens attend within their window.  If S does not divide the grid, it
is padded right and below, and the padding is not masked: the released SAM pads with zeros *before* the qkv
projection. A padded token is thus a real key and value, equal to the projection's bias, with a share of the softmax.
Here, only the real tokens are projected, and the padding is that bias.  A module in place of a projection (LoRA) may
treat zeros in another way; it gets padded windows, as in segment-anything.

B batch   N heads   D head dim   C = N·D   H, W grid   S window_size   Y, X windows down and across
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from minisam.model.fast.as_built import is_affine
from minisam.model.fast.kernel_choice import kernel_for
from minisam.model.rel_pos_attention import RelPosAttention, decomposed_rel_pos
from minisam.model.window_partition import window_partition, window_unpartition


class WindowAttention(RelPosAttention):
    """[B, H, W, C] -> [B, H, W, C], each token attending to the `window_size`² tokens of its window."""

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = True,
        window_size: int = 14,
        rel_pos_zero_init: bool = True,
    ) -> None:
        super().__init__(dim, num_heads, qkv_bias, use_rel_pos, (window_size, window_size), rel_pos_zero_init)
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        if not (is_affine(self.qkv) and is_affine(self.proj)):
            windows, padded = window_partition(x, self.window_size)
            return window_unpartition(
                super().forward(windows), self.window_size, padded, (x.shape[1], x.shape[2])
            )
        bias = self.qkv.bias if self.qkv.bias is not None else x.new_zeros(self.qkv.out_features)
        tables = (self.rel_pos_h, self.rel_pos_w) if self.use_rel_pos else (None, None)
        qkv = self.qkv(x)
        attended = window_attention(qkv, bias, *tables, self.num_heads, self.window_size)
        return self.proj(attended)


def window_attention(
    qkv: Tensor,
    qkv_bias: Tensor,
    rel_pos_h: Tensor | None,
    rel_pos_w: Tensor | None,
    num_heads: int,
    window_size: int,
) -> Tensor:
    """Attention within windows, from the projections of the unpadded tokens.

    qkv [B, H, W, 3·C]; qkv_bias [3·C], the q, k and v of a padded token; rel_pos_h, rel_pos_w [2·S − 1, D],
    or None for no position terms; returns [B, H, W, C].
    """
    H, W = qkv.shape[1:3]
    S = window_size
    if rel_pos_h is not None and rel_pos_w is not None and len(rel_pos_h) == len(rel_pos_w) == 2 * S - 1:
        kernel = kernel_for("window_attention", qkv, rel_pos_h.shape[1])
        if kernel is not None:
            return kernel(qkv, qkv_bias, rel_pos_h, rel_pos_w, num_heads, S)

    q, k, v = split_into_windows(pad_with(qkv, qkv_bias, S), num_heads, S)
    bias = None
    if rel_pos_h is not None and rel_pos_w is not None:
        rel_h, rel_w = decomposed_rel_pos(q, rel_pos_h, rel_pos_w, (S, S))
        bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return join_windows(out, -(-H // S), -(-W // S), S)[:, :H, :W]


def pad_with(grid: Tensor, vector: Tensor, multiple: int) -> Tensor:
    """Pad [B, H, W, C] right and below to multiples of a number, with a vector [C] in every new place."""
    B, H, W, C = grid.shape
    below, right = -H % multiple, -W % multiple
    if below == right == 0:
        return grid
    padded = vector.to(grid.dtype).expand(B, H + below, W + right, C).clone()
    padded[:, :H, :W] = grid
    return padded


def split_into_windows(grid: Tensor, num_heads: int, window_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """[B, Y·S, X·S, 3·C] -> the q, k and v of every window, each [B·Y·X, N, S·S, D]."""
    S = window_size
    windows_byxijc = grid.unflatten(2, (-1, S)).unflatten(1, (-1, S)).transpose(2, 3)
    tokens = windows_byxijc.flatten(0, 2).flatten(1, 2).unflatten(2, (3, num_heads, -1))
    q, k, v = tokens.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def join_windows(out: Tensor, down: int, across: int, window_size: int) -> Tensor:
    """The windows [B·Y·X, N, S·S, D] of Y rows and X columns -> [B, Y·S, X·S, N·D]."""
    S = window_size
    tokens = out.transpose(1, 2).flatten(2)
    windows_byxijc = tokens.unflatten(1, (S, S)).unflatten(0, (-1, down, across))
    return windows_byxijc.transpose(2, 3).flatten(3, 4).flatten(1, 2)

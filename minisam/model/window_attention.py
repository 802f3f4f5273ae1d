"""Self-attention inside windows of the token grid (ViTDet section 3; SAM section A).

The grid is cut into S × S windows and tokens attend within their own.  A grid that S does not divide is padded
right and below, and nothing masks the padding: the released SAM pads with zeros *before* the qkv projection,
so a padded token is a real key and value, equal to the projection's bias, that takes its share of the softmax.
Here the projection runs on the real tokens alone and the padding is that bias.  One band of windows is worked
on at a time, and no padded copy of the whole grid is made.

B batch   N heads   D head dim   C = N·D   H, W grid   S window_size   Z windows in the band   L = S² tokens
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.model.rel_pos_attention import RelPosAttention, decomposed_rel_pos


class WindowAttention(RelPosAttention):
    """[B, H, W, C] -> [B, H, W, C], each token attending to the `window_size`² tokens of its window."""

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = True,
        window_size: int = 14,
    ) -> None:
        super().__init__(dim, num_heads, qkv_bias, use_rel_pos, input_size=(window_size, window_size))
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        bias = self.qkv.bias if self.qkv.bias is not None else x.new_zeros(self.qkv.out_features)
        tables = (self.rel_pos_h, self.rel_pos_w) if self.use_rel_pos else (None, None)
        return self.proj(window_attention(self.qkv(x), bias, *tables, self.num_heads, self.window_size))


def window_attention(
    qkv: Tensor,
    qkv_bias: Tensor,
    rel_pos_h: Tensor | None,
    rel_pos_w: Tensor | None,
    num_heads: int,
    window_size: int,
) -> Tensor:
    """Attention within windows, from the projections of the unpadded tokens.

    qkv [B, H, W, 3·C]; qkv_bias [3·C], the q, k and v of a padded token; rel_pos_h, rel_pos_w [2·S − 1, D], or
    None for no position terms; returns [B, H, W, C].
    """
    H, W = qkv.shape[1:3]
    S = window_size
    bands = []
    for band in qkv.split(S, dim=1):
        q, k, v = split_into_windows(pad_with(band, qkv_bias, S, -W % S + W), num_heads, S)
        bias = None
        if rel_pos_h is not None and rel_pos_w is not None:
            rel_h, rel_w = decomposed_rel_pos(q, rel_pos_h, rel_pos_w, (S, S))
            bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        bands.append(join_windows(out, qkv.shape[0], S)[:, : band.shape[1], :W])
    return torch.cat(bands, dim=1)


def pad_with(grid: Tensor, vector: Tensor, height: int, width: int) -> Tensor:
    """Pad [B, H, W, C] to [B, height, width, C], right and below, with a vector [C] in every new place."""
    B, H, W, C = grid.shape
    if (height, width) == (H, W):
        return grid
    padded = vector.to(grid.dtype).expand(B, height, width, C).clone()
    padded[:, :H, :W] = grid
    return padded


def split_into_windows(band: Tensor, num_heads: int, window_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """One band of windows [B, S, Z·S, 3·C] -> its q, k and v, each [B·Z, N, S·S, D]."""
    windows = band.unflatten(2, (-1, window_size)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
    q, k, v = windows.unflatten(2, (3, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def join_windows(out: Tensor, batch: int, window_size: int) -> Tensor:
    """The windows of one band [B·Z, N, S·S, D] -> [B, S, Z·S, N·D]."""
    windows = (
        out.transpose(1, 2).flatten(2).unflatten(1, (window_size, window_size)).unflatten(0, (batch, -1))
    )
    return windows.transpose(1, 2).flatten(2, 3)

"""Partitioning a grid of tokens into windows, and joining them again (ViTDet section 3): segment-anything's functions.

    [B, H, W, C] -> zeros right and below, to multiples of S -> [B · windows, S, S, C] -> … -> [B, H, W, C]

minisam's window attention does not need these copies (window_attention.py); another module in its place gets these
windows, as in segment-anything.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def window_partition(x: Tensor, window_size: int) -> tuple[Tensor, tuple[int, int]]:
    """[B, H, W, C] -> windows [B · n, S, S, C], row by row, and the padded size (H', W')."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 0, -width % window_size, 0, -height % window_size))
    windows_byxijc = padded.unflatten(2, (-1, window_size)).unflatten(1, (-1, window_size)).transpose(2, 3)
    return windows_byxijc.flatten(0, 2), (padded.shape[1], padded.shape[2])


def window_unpartition(
    windows: Tensor, window_size: int, pad_hw: tuple[int, int], hw: tuple[int, int]
) -> Tensor:
    """Windows [B · n, S, S, C] of a grid of `pad_hw` -> [B, H, W, C], without the padding: `hw` is (H, W)."""
    down, across = pad_hw[0] // window_size, pad_hw[1] // window_size
    windows_byxijc = windows.unflatten(0, (-1, down, across))
    return windows_byxijc.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, : hw[0], : hw[1]].contiguous()

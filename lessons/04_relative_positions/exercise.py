"""Lesson 4: write the first two functions, mend the third. `minisam lesson check 4 FILE` tells what is right."""

import numpy as np
import torch
from torch import Tensor


def relative_position_table(table: np.ndarray, size: int) -> np.ndarray:
    """table [R, D] -> [size, size, D]: entry [i, j] is the row for a query at i and a key at j."""
    raise NotImplementedError


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_h [B, N, H·W, H], rel_w [B, N, H·W, W] -> [B, N, H·W, D]."""
    raise NotImplementedError


def attend_on_grid(
    q: Tensor, k: Tensor, v: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, scale: float
) -> Tensor:
    """q, k, v [B, N, H·W, D], rel_pos_h [2·H − 1, D], rel_pos_w [2·W − 1, D] -> [B, N, H·W, D]. There is a bug."""
    H, W = (len(rel_pos_h) + 1) // 2, (len(rel_pos_w) + 1) // 2
    rows, columns = torch.arange(H), torch.arange(W)
    q = scale * q  # once on L × D queries, not on L × L scores
    grid = q.unflatten(2, (H, W))
    table_h = rel_pos_h[rows[:, None] - rows[None, :] + H - 1]
    table_w = rel_pos_w[columns[:, None] - columns[None, :] + W - 1]
    rel_h = torch.einsum("bnhwd,hkd->bnhwk", grid, table_h).flatten(2, 3)
    rel_w = torch.einsum("bnhwd,wkd->bnhwk", grid, table_w).flatten(2, 3)
    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    scores = q @ k.transpose(-2, -1) + bias
    return scores.softmax(dim=-1) @ v

"""Solutions of lesson 4."""

import numpy as np
import torch
from torch import Tensor


def relative_position_table(table: np.ndarray, size: int) -> np.ndarray:
    rows = 2 * size - 1
    if len(table) != rows:
        places = (np.arange(rows) + 0.5) * len(table) / rows - 0.5
        channels = [np.interp(places, np.arange(len(table)), channel) for channel in table.T]
        table = np.stack(channels, axis=-1).astype(table.dtype)
    i, j = np.arange(size)[:, None], np.arange(size)[None, :]
    return table[i - j + size - 1]


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    bias_per_key = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    scores_per_key = scale * q @ k.transpose(-2, -1) + bias_per_key
    return scores_per_key.softmax(dim=-1) @ v


def attend_on_grid(
    q: Tensor, k: Tensor, v: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, scale: float
) -> Tensor:
    H, W = (len(rel_pos_h) + 1) // 2, (len(rel_pos_w) + 1) // 2
    rows, columns = torch.arange(H), torch.arange(W)
    grid = q.unflatten(2, (H, W))
    table_h = rel_pos_h[rows[:, None] - rows[None, :] + H - 1]
    table_w = rel_pos_w[columns[:, None] - columns[None, :] + W - 1]
    rel_h = torch.einsum("bnhwd,hkd->bnhwk", grid, table_h).flatten(2, 3)
    rel_w = torch.einsum("bnhwd,wkd->bnhwk", grid, table_w).flatten(2, 3)
    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    scores = (scale * q) @ k.transpose(-2, -1) + bias
    return scores.softmax(dim=-1) @ v

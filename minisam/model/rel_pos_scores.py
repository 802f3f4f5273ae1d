"""Decomposed relative positions added to stored scores, with segment-anything's functions (MViTv2).

    scores[n, m] += q_n · R_h[a·i_n − b·i_m] + q_n · R_w[a·j_n − b·j_m]      a, b: 1, or the ratio of the two grids

Queries and keys may lie on grids of different sizes here; the smaller grid's positions are spread over the larger
one's.  SAM does not use this, and minisam's attention never stores the scores of all heads (rel_pos_attention.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.model.rel_pos_attention import resize_table


def get_rel_pos(q_size: int, k_size: int, rel_pos: Tensor) -> Tensor:
    """Table [R, D] -> [q_size, k_size, D], the row of each pair's offset.

    A table without 2 · max(q_size, k_size) − 1 rows is interpolated linearly first.
    """
    table = resize_table(rel_pos, 2 * max(q_size, k_size) - 1)
    spread_q, spread_k = max(k_size / q_size, 1.0), max(q_size / k_size, 1.0)
    q_at = torch.arange(q_size, device=table.device)[:, None] * spread_q
    k_at = torch.arange(k_size, device=table.device)[None, :] * spread_k
    return table[(q_at - k_at + (k_size - 1) * spread_k).long()]


def add_decomposed_rel_pos(
    attn: Tensor,
    q: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    q_size: tuple[int, int],
    k_size: tuple[int, int],
) -> Tensor:
    """Scores [B, q_h·q_w, k_h·k_w] and unscaled queries [B, q_h·q_w, D] -> scores with both position terms."""
    q_bhwd = q.unflatten(1, q_size)
    rel_h = torch.einsum("bhwd,hkd->bhwk", q_bhwd, get_rel_pos(q_size[0], k_size[0], rel_pos_h))
    rel_w = torch.einsum("bhwd,wkd->bhwk", q_bhwd, get_rel_pos(q_size[1], k_size[1], rel_pos_w))
    bias = rel_h[..., :, None] + rel_w[..., None, :]
    return attn + bias.flatten(3, 4).flatten(1, 2)

"""Attention with relative positions for a block of queries at a time: the L × L bias of all heads is never in memory.

A block's bias is small enough for a CPU's last-level cache, and large enough to keep all threads busy.  If gradients
are needed, it is computed again in the backward pass.

B batch   N heads   D head dim   H, W grid   L = H·W tokens
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from minisam.model.fast.plain_products import as_now_when_recomputed

BIAS_ENTRIES_PER_BLOCK = 2**22  # 16 MB; 1024 queries of one head on a 1024-pixel image


def too_large_at_once(q: Tensor) -> bool:
    """Whether the bias of queries [B, N, L, D] on a CPU has more entries than a block may have."""
    return q.device.type == "cpu" and heads_per_block(q) < q.shape[1]


def heads_per_block(q: Tensor) -> int:
    L = q.shape[2]
    return max(1, BIAS_ENTRIES_PER_BLOCK // (images_of(q) * L * L))


def images_of(q: Tensor) -> int:
    """B; 1 while the network is exported, because blocks that depend on B would fix it."""
    return 1 if torch.compiler.is_exporting() else q.shape[0]


def by_blocks(
    attend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float
) -> Tensor:
    """`attend` of all queries: q, k, v [B, N, L, D], rel_h [B, N, L, H], rel_w [B, N, L, W] -> [B, N, L, D]."""
    N, L = q.shape[1:3]
    heads = heads_per_block(q)
    rows = max(1, BIAS_ENTRIES_PER_BLOCK // (images_of(q) * L))
    recompute = torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v, rel_h, rel_w))
    if recompute:
        attend = partial(checkpoint, attend, use_reentrant=False, context_fn=as_now_when_recomputed)
    groups_blnd = []
    for head in range(0, N, heads):
        group = slice(head, head + heads)
        keys, values = k[:, group].contiguous(), v[:, group].contiguous()
        blocks = zip(*(t[:, group].split(rows, dim=2) for t in (q, rel_h, rel_w)), strict=True)
        out = [attend(q_r, keys, values, rel_h_r, rel_w_r, scale) for q_r, rel_h_r, rel_w_r in blocks]
        groups_blnd.append(torch.cat([block.transpose(1, 2) for block in out], dim=1))
    return torch.cat(groups_blnd, dim=2).transpose(1, 2)

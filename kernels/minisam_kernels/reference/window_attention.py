"""Window attention: rel_pos_attention inside each window of a grid that is partitioned into S x S windows.

    out[window] = rel_pos_attention(q[window], k[window], v[window])     for every window separately

If S does not divide a side of the grid, the grid is padded at the right and the bottom. SAM pads with zeros before
the projection to q, k, v. The q, k, v of a padded token are therefore the bias of the projection. Padded tokens are
not masked: they are keys like all others. Their outputs are removed.

Symbols   B batch   H, W grid   N heads   D head dimension   C = N*D channels   S window side
Source    Li et al. 2022 (ViTDet), section 3; Kirillov et al. 2023 (SAM), appendix A, "Image encoder": S = 14.
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.rel_pos_attention import decomposed_rel_pos, rel_pos_attention


def window_attention(
    qkv: np.ndarray,
    qkv_bias: np.ndarray,
    rel_pos_h: np.ndarray,
    rel_pos_w: np.ndarray,
    num_heads: int,
    window_size: int,
) -> np.ndarray:
    """qkv [B, H, W, 3*C] projected, qkv_bias [3*C], rel_pos_h and rel_pos_w [2*S - 1, D] -> [B, H, W, C].

    The last axis of qkv holds q, k, v in this order, and within each of them the heads in order.
    """
    B, H, W, _ = qkv.shape
    S, C = window_size, qkv.shape[-1] // 3
    D = C // num_heads
    padded_h, padded_w = -(-H // S) * S, -(-W // S) * S
    padded = np.broadcast_to(qkv_bias.astype(qkv.dtype), (B, padded_h, padded_w, 3 * C)).copy()
    padded[:, :H, :W] = qkv
    out = np.empty((B, padded_h, padded_w, C), qkv.dtype)
    for top in range(0, padded_h, S):
        for left in range(0, padded_w, S):
            window = padded[:, top : top + S, left : left + S]
            q, k, v = window.reshape(B, S * S, 3, num_heads, D).transpose(2, 0, 3, 1, 4)
            rel_h, rel_w = decomposed_rel_pos(q, rel_pos_h, rel_pos_w, (S, S))
            heads_bnld = rel_pos_attention(q, k, v, rel_h, rel_w, D**-0.5)
            merged = heads_bnld.transpose(0, 2, 1, 3).reshape(B, S, S, C)
            out[:, top : top + S, left : left + S] = merged
    return out[:, :H, :W]

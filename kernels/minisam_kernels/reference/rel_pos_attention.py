"""Attention over a grid of tokens with decomposed relative positions.

    out = softmax(scale * q k^T + bias) v
    bias[l, m] = q[l] . R_h[i(l) - i(m)] + q[l] . R_w[j(l) - j(m)] = rel_h[l, i(m)] + rel_w[l, j(m)]

Token l lies in grid row i(l) = l // W and grid column j(l) = l % W. Two learned tables, one for vertical and one for
horizontal offsets, replace one table over both. The bias uses the unscaled query, and SAM's checkpoints depend on
that.

Symbols   B batch   N heads   H, W grid   L = H*W tokens   D head dimension   R table rows, 2*size - 1 offsets
Source    Li et al. 2022 (MViTv2), equation 4; Kirillov et al. 2023 (SAM), appendix A, "Image encoder".
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.softmax import softmax


def rel_pos_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, rel_h: np.ndarray, rel_w: np.ndarray, scale: float
) -> np.ndarray:
    """q, k, v [B, N, L, D], rel_h [B, N, L, H], rel_w [B, N, L, W] with L = H*W -> [B, N, L, D]."""
    bias_bnlhw = rel_h[:, :, :, :, None] + rel_w[:, :, :, None, :]
    scores_bnll = scale * (q @ k.swapaxes(2, 3)) + bias_bnlhw.reshape(*rel_h.shape[:3], -1)
    return softmax(scores_bnll) @ v


def decomposed_rel_pos(
    q: np.ndarray, rel_pos_h: np.ndarray, rel_pos_w: np.ndarray, grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The bias of each query for every row and every column of the grid (H, W).

    q [B, N, H*W, D] unscaled, rel_pos_h and rel_pos_w [R, D] -> rel_h [B, N, H*W, H], rel_w [B, N, H*W, W].
    """
    B, N, L, D = q.shape
    H, W = grid
    q_bnhwd = q.reshape(B, N, H, W, D)
    rel_h = np.einsum("bnhwd,hkd->bnhwk", q_bnhwd, relative_position_table(rel_pos_h, H, H))
    rel_w = np.einsum("bnhwd,wkd->bnhwk", q_bnhwd, relative_position_table(rel_pos_w, W, W))
    return rel_h.reshape(B, N, L, H), rel_w.reshape(B, N, L, W)


def relative_position_table(table: np.ndarray, q_size: int, k_size: int) -> np.ndarray:
    """table [R, D] -> [q_size, k_size, D]: entry [i, j] is the row for the offset of query i from key j.

    A table made for another size is first resampled to 2*size - 1 rows, size = max(q_size, k_size): linearly, with
    row centres at (r + 1/2) / R and constant beyond the outermost centres. If the two sizes differ, the shorter axis
    is stretched to the longer one, and fractional offsets are rounded down.
    """
    size = max(q_size, k_size)
    rows, channels = table.shape
    if rows != 2 * size - 1:
        centres = (np.arange(2 * size - 1) + 0.5) * rows / (2 * size - 1) - 0.5
        resampled = [np.interp(centres, np.arange(rows), table[:, channel]) for channel in range(channels)]
        table = np.stack(resampled, axis=-1).astype(table.dtype)
    query = np.arange(q_size)[:, None] * size // q_size
    steps_from_last_key = np.arange(k_size)[::-1][None, :] * size // k_size
    return table[query + steps_from_last_key]

"""Prompt tokens attend to an image with absorbed key and value projections: no image token is ever projected.

    out[b, r] = sum_s p[s] y[b, s]        p = softmax_s(scale * rows[b, r] . (y[b, s] + e[s]))

A query q attends to the keys k = W_k (y + e) + b_k and the values v = W_v y + b_v of its head. With r = W_k^T q,

    q . k = r . (y + e) + q . b_k         sum_s p[s] v[s] = W_v (sum_s p[s] y[s]) + b_v

in which q . b_k is the same for every s and does not change the softmax. There is one row for every token and head,
as wide as the image's channels. Each row's output is the argument of W_v.

Symbols   B images   R rows (tokens * heads)   S image tokens y, their positions e   E channels
Source    Kirillov et al. 2023 (SAM), appendix A, for the attention; the regrouping is associativity.
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.attention import attention


def token_to_image(rows: np.ndarray, image: np.ndarray, image_pe: np.ndarray, scale: float) -> np.ndarray:
    """rows [B, R, E], image [B, S, E], image_pe [S, E] -> [B, R, E]."""
    return attention(rows, image + image_pe, image, scale)

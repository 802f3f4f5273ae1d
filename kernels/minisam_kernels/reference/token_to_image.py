"""Prompt tokens ask an image with their key and value projections absorbed: no image token is ever projected.

    out[b, r] = sum_s p[s] y[b, s]        p = softmax_s(scale * rows[b, r] . (y[b, s] + e[s]))

A query q asks the keys k = W_k (y + e) + b_k of its head for the values v = W_v y + b_v. With r = W_k^T q,

    q . k = r . (y + e) + q . b_k         sum_s p[s] v[s] = W_v (sum_s p[s] y[s]) + b_v

in which q . b_k is the same for every s and leaves the softmax as it is. So there is one row for every token and
head, as wide as the image's channels; what comes out of it is W_v's argument.

Symbols   B images   R rows (tokens * heads)   S image tokens y, their positions e   E channels
Source    Kirillov et al. 2023 (SAM), appendix A, for the attention; the regrouping is associativity.
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.attention import attention


def token_to_image(rows: np.ndarray, image: np.ndarray, image_pe: np.ndarray, scale: float) -> np.ndarray:
    """rows [B, R, E], image [B, S, E], image_pe [S, E] -> [B, R, E]."""
    return attention(rows, image + image_pe, image, scale)

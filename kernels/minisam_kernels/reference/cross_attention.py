"""Cross-attention: the queries come from one set of tokens, the keys and values from another.

    out[b, n] = softmax(scale * q[b, n] k[b, n]^T) v[b, n]

In SAM's mask decoder either a few prompt tokens attend to thousands of image positions (L << S), or the other way
round (L >> S). The equation is that of attention; a kernel splits the work differently in each case.

Symbols   B batch   N heads   L queries   S keys   D head dimension
Source    Kirillov et al. 2023 (SAM), appendix A, "Lightweight mask decoder".
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.attention import attention


def cross_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    """q [B, N, L, D], k [B, N, S, D], v [B, N, S, D] -> [B, N, L, D]."""
    return attention(q, k, v, scale)

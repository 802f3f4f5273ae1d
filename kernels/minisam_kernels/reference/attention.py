"""Scaled dot-product attention: every query averages the values, weighted by how well it matches each key.

    attention(q, k, v) = softmax(scale * q k^T) v
    multi_head(q, k, v) = concat_n(attention(q W_q[n], k W_k[n], v W_v[n])) W_o,    scale = D^(-1/2)

Symbols   L queries   S keys and values   D head dimension   N heads   C channels   ... batch, heads
Source    Vaswani et al. 2017, equation 1 and section 3.2.2. SAM's decoder projects C channels to N*D <= C.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minisam_kernels.reference.softmax import softmax


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    """q [..., L, D], k [..., S, D], v [..., S, D] -> [..., L, D]."""
    scores = scale * (q @ k.swapaxes(-1, -2))
    return softmax(scores) @ v


def multi_head_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    weights: Mapping[str, np.ndarray],
    num_heads: int,
    prefix: str = "",
) -> np.ndarray:
    """q [B, L, C], k, v [B, S, C] -> [B, L, C]; weights are keyed as in SAM's state dict: "q_proj.weight"."""

    def project(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{prefix}{name}.weight"].T + weights[f"{prefix}{name}.bias"]

    def split_heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)

    q_bnld = split_heads(project(q, "q_proj"))
    k_bnsd = split_heads(project(k, "k_proj"))
    v_bnsd = split_heads(project(v, "v_proj"))
    heads_bnld = attention(q_bnld, k_bnsd, v_bnsd, q_bnld.shape[-1] ** -0.5)
    return project(heads_bnld.swapaxes(1, 2).reshape(*q.shape[:2], -1), "out_proj")

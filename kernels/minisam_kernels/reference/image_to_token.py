"""The image attends to the prompt tokens, with residual and layer norm; all projections are absorbed into the tokens.

    out[b, s] = layer_norm(y[b, s] + sum_n sum_t p[n, t] values[b, n, t])
    p[n] = softmax_t(scale * ((y[b, s] + e[s]) . rows[b, n, t] + offsets[b, n, t]))

A head has the query W_q (y + e) + b_q, the key k of a token, and adds W_o v, the projection of the token's value v.
With rows W_q^T k, offsets b_q . k and values W_o v + b_o / N,

    (W_q (y + e) + b_q) . k = (y + e) . row + offset       sum_n W_o sum_t p v + b_o = sum_n sum_t p values

since the weights p of each head sum to 1. All prompts may share one image; the result has one image per prompt.

Symbols   B prompts   N heads   T tokens   S image tokens y, their positions e   E channels
Source    Kirillov et al. 2023 (SAM), appendix A, for the attention and its norm; the regrouping is associativity.
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.softmax import softmax


def image_to_token(
    image: np.ndarray,
    image_pe: np.ndarray,
    rows: np.ndarray,
    offsets: np.ndarray,
    values: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    scale: float,
    eps: float,
) -> np.ndarray:
    """image [B or 1, S, E], image_pe [S, E], rows and values [B, N, T, E], offsets [B, N, T] -> [B, S, E].

    weight and bias [E] are the layer norm's.
    """
    scores = np.einsum(
        "bse,bnte->bsnt", np.broadcast_to(image + image_pe, (len(rows), *image.shape[1:])), rows
    )
    weights = softmax(scale * (scores + offsets[:, None]))
    return layer_norm(image + np.einsum("bsnt,bnte->bse", weights, values), weight, bias, eps)

"""The image asks the prompt tokens, takes up what they answer and is normalised: all projections are the tokens'.

    out[b, s] = layer_norm(y[b, s] + sum_n sum_t p[n, t] told[b, n, t])
    p[n] = softmax_t(scale * ((y[b, s] + e[s]) . rows[b, n, t] + offsets[b, n, t]))

A head asks with W_q (y + e) + b_q for the key k of a token and takes W_o v of its value. With rows W_q^T k, offsets
b_q . k and told W_o v + b_o / N,

    (W_q (y + e) + b_q) . k = (y + e) . row + offset       sum_n W_o sum_t p v + b_o = sum_n sum_t p told

since every head's p has the sum 1. One image may serve all prompts; each gets an image of its own back.

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
    told: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    scale: float,
    eps: float,
) -> np.ndarray:
    """image [B or 1, S, E], image_pe [S, E], rows and told [B, N, T, E], offsets [B, N, T] -> [B, S, E].

    weight and bias [E] are the layer norm's.
    """
    scores = np.einsum(
        "bse,bnte->bsnt", np.broadcast_to(image + image_pe, (len(rows), *image.shape[1:])), rows
    )
    weights = softmax(scale * (scores + offsets[:, None]))
    return layer_norm(image + np.einsum("bsnt,bnte->bse", weights, told), weight, bias, eps)

"""Multi-head attention between a few tokens and many, without projecting the many.

A projection of each of the many tokens y can be applied to the few tokens x instead. For head n:

    few to many     (W_q x + b_q) . (W_k y + b_k) = a . y + c,   a = W_k^T (W_q x + b_q),  c the same for every y
                    sum_s p_s (W_v y_s + b_v)     = W_v (sum_s p_s y_s) + b_v,             as sum_s p_s = 1
    many to few     (W_q y + b_q) . (W_k x + b_k) = a . y + c,   a = W_q^T (W_k x + b_k),  c = b_q . (W_k x + b_k)
                    W_o (sum_t p_t v_t)           = sum_t p_t (W_o v_t),                   v_t = W_v x_t + b_v

This is multi_head_attention with the products in another order. With T few and S many tokens, the scores then take
S*T*N*C products instead of S*N*D*C + S*T*N*D, which is fewer if T < D, roughly. In SAM T is 7 and D is 16.

Symbols   T few tokens   S many tokens   N heads   D head dimension   C channels   a, c absorbed projections   p
          softmax
Source    Derived from Vaswani et al. 2017, section 3.2.2; DeepSeek-V2 (2024), section 2.1.2, absorbs projections in
          this way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minisam_kernels.reference.softmax import softmax

Weights = Mapping[str, np.ndarray]


def absorbed_cross_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, weights: Weights, num_heads: int, prefix: str = ""
) -> np.ndarray:
    """q [B, L, C], k, v [B, S, C] -> [B, L, C], as multi_head_attention; the shorter of q and k absorbs."""
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    return (few_ask_many if q.shape[1] <= k.shape[1] else many_ask_few)(q, k, v, own, num_heads)


def few_ask_many(q: np.ndarray, k: np.ndarray, v: np.ndarray, weights: Weights, num_heads: int) -> np.ndarray:
    """k_proj is absorbed into the queries; v_proj is applied to the weighted means."""
    q_bntd = _heads_of(q, weights, "q_proj", num_heads)
    a_bntc = q_bntd @ _split(weights["k_proj.weight"], num_heads)
    p_bnts = softmax(q_bntd.shape[-1] ** -0.5 * a_bntc @ k[:, None].swapaxes(2, 3))
    seen_bntc = p_bnts @ v[:, None]
    heads_bntd = seen_bntc @ _split(weights["v_proj.weight"], num_heads).swapaxes(1, 2)
    heads = heads_bntd.swapaxes(1, 2).reshape(*q.shape[:2], -1) + weights["v_proj.bias"]
    return heads @ weights["out_proj.weight"].T + weights["out_proj.bias"]


def many_ask_few(q: np.ndarray, k: np.ndarray, v: np.ndarray, weights: Weights, num_heads: int) -> np.ndarray:
    """q_proj is absorbed into the keys, out_proj into the values."""
    k_bntd = _heads_of(k, weights, "k_proj", num_heads)
    a_bntc = k_bntd @ _split(weights["q_proj.weight"], num_heads)
    c_bnt = (k_bntd @ weights["q_proj.bias"].reshape(num_heads, -1, 1))[..., 0]
    scores_bnst = q[:, None] @ a_bntc.swapaxes(2, 3) + c_bnt[:, :, None]
    p_bnst = softmax(k_bntd.shape[-1] ** -0.5 * scores_bnst)
    values_bntc = _heads_of(v, weights, "v_proj", num_heads) @ _split(weights["out_proj.weight"].T, num_heads)
    return (p_bnst @ values_bntc).sum(axis=1) + weights["out_proj.bias"]


def _heads_of(x: np.ndarray, weights: Weights, name: str, num_heads: int) -> np.ndarray:
    """x [B, T, C], projected and split: [B, N, T, D]."""
    projected = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return projected.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


def _split(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """[N*D, C] -> [N, D, C]."""
    return weight.reshape(num_heads, -1, weight.shape[-1])

"""Multi-head attention between two sets of tokens, for the mask decoder (SAM section A).

    out = W_o concat_heads( softmax(q kᵀ / √D) v )        q = W_q x,  k = W_k y,  v = W_v z

`downsample_rate` makes the inner width smaller than the tokens': SAM halves it in the cross-attentions, where
one side has 4096 tokens.

B prompts   N heads   L queries   S keys   D inner head dim   E embedding_dim
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.fast.kernel_choice import kernel_for


class Attention(nn.Module):
    """q [B, L, E], k and v [B, S, E] -> [B, L, E]."""

    def __init__(
        self, embedding_dim: int, num_heads: int, downsample_rate: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.internal_dim = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.dropout = dropout
        if self.internal_dim % num_heads:
            raise ValueError(
                f"num_heads must divide the inner width: {num_heads} does not divide {self.internal_dim}"
            )
        self.q_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.k_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.v_proj = nn.Linear(embedding_dim, self.internal_dim)
        self.out_proj = nn.Linear(self.internal_dim, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q_bnld = self._separate_heads(self.q_proj(q), self.num_heads)
        k_bnsd = self._separate_heads(self.k_proj(k), self.num_heads)
        v_bnsd = self._separate_heads(self.v_proj(v), self.num_heads)
        dropout = self.dropout if self.training else 0.0
        kernel = kernel_for("cross_attention", q_bnld, q_bnld.shape[-1]) if dropout == 0 else None
        if kernel is not None:
            out_bnld = kernel(q_bnld, k_bnsd, v_bnsd, q_bnld.shape[-1] ** -0.5)
        else:
            out_bnld = F.scaled_dot_product_attention(q_bnld, k_bnsd, v_bnsd, dropout_p=dropout)
        return self.out_proj(self._recombine_heads(out_bnld))

    def separate_heads(self, x: Tensor) -> Tensor:
        """[B, L, N·D] -> [B, N, L, D]."""
        return self._separate_heads(x, self.num_heads)

    def _separate_heads(self, x: Tensor, num_heads: int) -> Tensor:
        """[B, L, N·D] -> [B, N, L, D], under segment-anything's name."""
        return x.unflatten(2, (num_heads, -1)).transpose(1, 2)

    def _recombine_heads(self, x: Tensor) -> Tensor:
        """[B, N, L, D] -> [B, L, N·D], under segment-anything's name."""
        return x.transpose(1, 2).flatten(2)

"""The projections between a few prompt tokens x and many image tokens y, absorbed into the few.

There are T·N = 56 tokens of all heads, but S = 4096 image tokens. It is cheaper to project the prompt tokens again
than the image tokens once (e is the position of y; the softmax weights p sum to 1):

    tokens attend to the image    q · (W_k (y + e) + b_k) = (W_kᵀ q) · (y + e) + a constant for every y
                                  Σ p (W_v y + b_v)       = W_v (Σ p y) + b_v
    the image attends to tokens   (W_q (y + e) + b_q) · k = (W_qᵀ k) · (y + e) + b_q · k
                                  Σ_n W_o (Σ p v) + b_o   = Σ_n Σ p (W_o v + b_o / N)

Each line is for one head; W_o of a head is its columns of the whole matrix.  Scores are divided by √D on the tokens'
side.

B prompts   T prompt tokens   N heads   D inner head dim   E embedding_dim
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.attention import Attention
from minisam.model.fast.as_built import is_as_built, is_in_evaluation
from minisam.model.mlp_block import MLPBlock
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer


def may_absorb(transformer: nn.Module) -> bool:
    """Whether its weights alone determine its output: evaluation mode, without replaced parts or hooks."""
    kinds = TwoWayTransformer, TwoWayAttentionBlock, Attention, MLPBlock
    return (
        type(transformer) is TwoWayTransformer
        and is_in_evaluation(transformer)
        and is_as_built(transformer, *kinds)
        and all(part.bias is not None for part in transformer.modules() if isinstance(part, nn.Linear))
    )


def absorbed_queries(attention: Attention, queries: Tensor) -> Tensor:
    """W_kᵀ q / √D of tokens [B, T, E] that attend to an image: [B, N, T, E], to multiply with y + e."""
    q_bntd = attention.separate_heads(attention.q_proj(queries)) * scale(attention)
    return absorb(q_bntd, of_heads(attention.k_proj, attention.num_heads))


def project_attended(attention: Attention, attended_bnte: Tensor) -> Tensor:
    """The attention's output [B, T, E] from Σ p y, the weighted mean of the image for each head and token."""
    v_btnd = torch.einsum("bnte,nde->btnd", attended_bnte, of_heads(attention.v_proj, attention.num_heads))
    return attention.out_proj(v_btnd.flatten(2) + attention.v_proj.bias)


def absorbed_keys(attention: Attention, keys: Tensor) -> tuple[Tensor, Tensor]:
    """W_qᵀ k / √D [B, N, T, E] and b_q · k / √D [B, N, T] of tokens [B, T, E] that an image attends to."""
    k_bntd = attention.separate_heads(attention.k_proj(keys)) * scale(attention)
    bias_nd = attention.q_proj.bias.unflatten(0, (attention.num_heads, -1))
    rows_bnte = absorb(k_bntd, of_heads(attention.q_proj, attention.num_heads))
    return rows_bnte, torch.einsum("bntd,nd->bnt", k_bntd, bias_nd)


def absorbed_values(attention: Attention, values: Tensor) -> Tensor:
    """W_o v + b_o / N of tokens [B, T, E] that an image attends to: [B, N, T, E], added to y by each head."""
    v_bntd = attention.separate_heads(attention.v_proj(values))
    heads_nde = attention.out_proj.weight.T.unflatten(0, (attention.num_heads, -1))
    return absorb(v_bntd, heads_nde) + attention.out_proj.bias / attention.num_heads


def absorb(x_bntd: Tensor, heads_nde: Tensor) -> Tensor:
    """Every head's tokens times the head's matrix: [B, N, T, E]."""
    return torch.einsum("bntd,nde->bnte", x_bntd, heads_nde)


def of_heads(projection: nn.Linear, num_heads: int) -> Tensor:
    """The weight of a projection E -> N·D, head by head: [N, D, E]."""
    return projection.weight.unflatten(0, (num_heads, -1))


def scale(attention: Attention) -> float:
    """1 / √D."""
    return (attention.internal_dim // attention.num_heads) ** -0.5

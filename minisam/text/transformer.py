"""The transformer used in both encoders of CLIP (Radford et al. 2021), with CLIP's parameter names.

    x ← x + attention(ln_1(x))        x ← x + mlp(ln_2(x))        mlp: W₂ · gelu(W₁ x),  gelu(x) ≈ x · σ(1.702 x)

`allowed` gives the positions that a query may attend to: all earlier ones for text, those inside a mask for the
output token of an image.

B sequences   N heads   L queries   S keys   D head dim   C width
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Queries [B, L, C] and the tokens that they attend to [B, S, C] -> [B, L, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, queries: Tensor, tokens: Tensor, allowed: Tensor | None = None) -> Tensor:
        """`allowed` is bool and broadcasts to [B, N, L, S]; at least one key for every query."""
        width = queries.shape[-1]
        q_weight, kv_weight = self.in_proj_weight.split([width, 2 * width])
        q_bias, kv_bias = self.in_proj_bias.split([width, 2 * width])
        q_bnld = F.linear(queries, q_weight, q_bias).unflatten(2, (self.heads, -1)).transpose(1, 2)
        kv = F.linear(tokens, kv_weight, kv_bias).unflatten(2, (2, self.heads, -1))
        k_bnsd, v_bnsd = kv.permute(2, 0, 3, 1, 4)
        out_bnld = F.scaled_dot_product_attention(q_bnld, k_bnsd, v_bnsd, attn_mask=allowed)
        return self.out_proj(out_bnld.transpose(1, 2).flatten(2))


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    """[B, S, C] -> [B, L, C] for the first L positions; `queries` is L, by default all."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width), gelu=QuickGELU(), c_proj=nn.Linear(4 * width, width)
            )
        )
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, allowed: Tensor | None = None, queries: int | None = None) -> Tensor:
        tokens = self.ln_1(x)
        x = x[:, :queries] + self.attn(tokens[:, :queries], tokens, allowed)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """`layers` blocks under the name `resblocks`."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(width, heads) for _ in range(layers))


@torch.no_grad()
def initialise_(transformer: Transformer, width: int, layers: int) -> None:
    """Matrices N(0, σ²) with σ by width and depth, as in CLIP, to keep the sum over blocks constant in size."""
    inner, residual = width**-0.5, width**-0.5 * (2 * layers) ** -0.5
    for name, parameter in transformer.named_parameters():
        if name.endswith("in_proj_weight"):
            nn.init.normal_(parameter, std=inner)
        elif name.endswith(("out_proj.weight", "c_proj.weight")):
            nn.init.normal_(parameter, std=residual)
        elif name.endswith("c_fc.weight"):
            nn.init.normal_(parameter, std=(2 * width) ** -0.5)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)

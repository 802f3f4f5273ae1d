"""The two-way transformer: prompt tokens and image tokens attend to each other (SAM section A, figure 14).

Each of the `depth` blocks has four steps, each followed by layer norm (post-norm):

    1. the prompt tokens attend to themselves
    2. the prompt tokens attend to the image
    3. an MLP on every prompt token
    4. the image attends to the prompt tokens

and after the last block the prompt tokens attend to the image again.  Whenever tokens are queries or keys, their
*original* position encoding (for prompt tokens: the whole original embedding) is added again.  Step 1 of the first
block is an exception: no encoding is added and, unlike in the paper's text, there is no residual connection; the
released weights depend on that.  The paper's dropout of 0.1 is `dropout`; the released code has none.

B prompts   T prompt tokens   S image tokens   E embedding_dim
"""

from __future__ import annotations

from torch import Tensor, nn

from minisam.model.attention import Attention
from minisam.model.mlp_block import MLPBlock


class TwoWayTransformer(nn.Module):
    """Image embedding and its positions [B, E, h, w], prompt tokens [B, T, E] -> [B, T, E] and [B, h·w, E]."""

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.depth = depth
        self.embedding_dim = embedding_dim
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim=embedding_dim,
                num_heads=num_heads,
                mlp_dim=mlp_dim,
                activation=activation,
                attention_downsample_rate=attention_downsample_rate,
                skip_first_layer_pe=index == 0,
                dropout=dropout,
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(
            embedding_dim, num_heads, attention_downsample_rate, dropout
        )
        self.norm_final_attn = nn.LayerNorm(embedding_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        keys = image_embedding.flatten(2).transpose(1, 2)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, query_pe=point_embedding, key_pe=key_pe)

        attended = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + self.dropout(attended)), keys


class TwoWayAttentionBlock(nn.Module):
    """Queries [B, T, E] (prompt tokens) and keys [B, S, E] (image tokens), both updated."""

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int = 2048,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
        skip_first_layer_pe: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embedding_dim, num_heads, dropout=dropout)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(
            embedding_dim, num_heads, attention_downsample_rate, dropout
        )
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, mlp_dim, activation)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(
            embedding_dim, num_heads, attention_downsample_rate, dropout
        )
        self.skip_first_layer_pe = skip_first_layer_pe
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.skip_first_layer_pe:
            queries = self.dropout(self.self_attn(q=queries, k=queries, v=queries))
        else:
            q = queries + query_pe
            queries = queries + self.dropout(self.self_attn(q=q, k=q, v=queries))
        queries = self.norm1(queries)

        k = keys + key_pe
        queries = queries + self.dropout(self.cross_attn_token_to_image(q=queries + query_pe, k=k, v=keys))
        queries = self.norm2(queries)

        queries = self.norm3(queries + self.dropout(self.mlp(queries)))

        keys = keys + self.dropout(self.cross_attn_image_to_token(q=k, k=queries + query_pe, v=queries))
        return queries, self.norm4(keys)

"""The two-way transformer where kernels ask and update the image: the absorbed projections, for all prompts at once.

    tokens ask the image      token_to_image(rows, y, e)                 rows  W_kᵀ q, one a head and token
    the image asks tokens     image_to_token(y, e, rows, offsets, told)  with the residual and layer norm inside

The algebra is that of absorbed_two_way_transformer.py. Nothing as large as an image is made besides the next image.

B prompts   T prompt tokens   N heads   D inner head dim   S image tokens   E embedding_dim
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from minisam.model.absorbed_two_way_transformer import absorb, is_as_built, of_heads, scale, update_tokens
from minisam.model.attention import Attention
from minisam.model.kernel_choice import Kernel, kernel_for
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer

MOST_TOKENS = 64


def fused_two_way_transformer(
    transformer: TwoWayTransformer, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
) -> tuple[Tensor, Tensor]:
    """What `transformer` gives for the same arguments, where `fusing_is_open`; image_pe is [1, E, h, w]."""
    image = image_embedding.flatten(2).transpose(1, 2).contiguous()
    key_pe = image_pe.flatten(2).transpose(1, 2)[0].contiguous()
    x = point_embedding
    for each in transformer.layers:
        layer = cast(TwoWayAttentionBlock, each)
        asking, seen = layer.cross_attn_token_to_image, image
        x = update_tokens(layer, x, point_embedding, lambda q, a=asking, y=seen: ask_image(a, q, y, key_pe))
        image = updated_image(layer, image, key_pe, x, x + point_embedding)
    attended = ask_image(transformer.final_attn_token_to_image, x + point_embedding, image, key_pe)
    return transformer.norm_final_attn(x + attended), image


def ask_image(attention: Attention, queries: Tensor, image: Tensor, key_pe: Tensor) -> Tensor:
    """Attention of tokens [B, T, E] to images [B, S, E] at positions [S, E]: [B, T, E]."""
    q_bntd = attention.separate_heads(attention.q_proj(queries))
    rows = absorb(q_bntd, of_heads(attention.k_proj, attention.num_heads))
    seen = kernel_of("token_to_image", image)(rows, image, key_pe, scale(attention))
    seen_bnte = seen.unflatten(1, q_bntd.shape[1:3])
    v_btnd = torch.einsum("bnte,nde->btnd", seen_bnte, of_heads(attention.v_proj, attention.num_heads))
    return attention.out_proj(v_btnd.flatten(2) + attention.v_proj.bias)


def updated_image(
    layer: TwoWayAttentionBlock, image: Tensor, key_pe: Tensor, values: Tensor, keys: Tensor
) -> Tensor:
    """The last step of a block: images [B, S, E] take up what they attend to among tokens [B, T, E]."""
    attention, norm = layer.cross_attn_image_to_token, layer.norm4
    k_bntd = attention.separate_heads(attention.k_proj(keys))
    v_bntd = attention.separate_heads(attention.v_proj(values))
    heads_and_tokens = k_bntd.shape[1:3]
    rows = absorb(k_bntd, of_heads(attention.q_proj, attention.num_heads)).unflatten(1, heads_and_tokens)
    bias_nd = attention.q_proj.bias.unflatten(0, (attention.num_heads, -1))
    offsets_bnt = torch.einsum("bntd,nd->bnt", k_bntd, bias_nd)
    heads_nde = attention.out_proj.weight.T.unflatten(0, (attention.num_heads, -1))
    told = absorb(v_bntd, heads_nde) + attention.out_proj.bias / attention.num_heads
    return kernel_of("image_to_token", image)(
        image, key_pe, rows, offsets_bnt, told.unflatten(1, heads_and_tokens), norm.weight, norm.bias,
        scale(attention), norm.eps,
    )  # fmt: skip


def kernel_of(operation: str, image: Tensor) -> Kernel:
    kernel = kernel_for(operation, image, image.shape[-1])
    assert kernel is not None, "fusing_is_open has not been asked"
    return kernel


def fusing_is_open(transformer: nn.Module, tokens: Tensor, image_pe: Tensor) -> bool:
    """Whether there are kernels for tokens [P, T, E] on an image with positions [1, E, h, w], without gradients."""
    if type(transformer) is not TwoWayTransformer or transformer.training or not is_as_built(transformer):
        return False
    attention = transformer.final_attn_token_to_image
    has_kernels = all(
        kernel_for(operation, tokens, tokens.shape[2]) is not None
        for operation in ("token_to_image", "image_to_token")
    )
    return (
        has_kernels
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled(tokens.device.type)
        and image_pe.shape[0] == 1
        and tokens.shape[1] * attention.num_heads <= 2 * attention.internal_dim
        and tokens.shape[1] <= MOST_TOKENS
    )

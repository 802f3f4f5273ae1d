"""The two-way transformer by kernels that attend to and update the image: absorbed projections for all prompts at once.

    tokens attend to the image    token_to_image(rows, y, e)                   rows  W_kᵀ q, one per head and token
    the image attends to tokens   image_to_token(y, e, rows, offsets, values)  with the residual and layer norm inside

The algebra is that of absorbed_projections.py. The only tensors as large as an image are the image and its update. If
all prompts have the same image, there is only one until the end of the first block. If they are on several images,
the image of each prompt is copied once, in the layout that the kernels need.

B prompts   T prompt tokens   N heads   S image tokens   E embedding_dim
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from minisam.model.attention import Attention
from minisam.model.fast.absorbed_projections import (
    absorbed_keys,
    absorbed_queries,
    absorbed_values,
    may_absorb,
    project_attended,
)
from minisam.model.fast.absorbed_two_way_transformer import update_tokens
from minisam.model.fast.kernel_choice import Kernel, kernel_for
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer

MOST_TOKENS = 64


def fused_two_way_transformer(
    transformer: TwoWayTransformer,
    image_embedding: Tensor,
    image_pe: Tensor,
    point_embedding: Tensor,
    image_index: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The output of `transformer` for P prompts, if `fusing_is_open`: tokens [P, T, E] and images [P, h·w, E].

    image_embedding [P, E, h, w], or [1, E, h, w] for all prompts, or [I, E, h, w] with the image_index [P] of each
    prompt; image_pe [1, E, h, w]; point_embedding [P, T, E].
    """
    image = image_embedding.flatten(2).transpose(1, 2).contiguous()
    if image_index is not None:
        image = image[image_index]
    key_pe = image_pe.flatten(2).transpose(1, 2)[0].contiguous()
    x = point_embedding
    for each in transformer.layers:
        layer = cast(TwoWayAttentionBlock, each)
        attend = partial(attend_to_image, layer.cross_attn_token_to_image, image=image, key_pe=key_pe)
        x = update_tokens(layer, x, point_embedding, attend)
        image = updated_image(layer, image, key_pe, x, x + point_embedding)
    attended = attend_to_image(transformer.final_attn_token_to_image, x + point_embedding, image, key_pe)
    return transformer.norm_final_attn(x + attended), image.expand(len(x), -1, -1)


def attend_to_image(attention: Attention, queries: Tensor, image: Tensor, key_pe: Tensor) -> Tensor:
    """Attention of tokens [B, T, E] to images [B or 1, S, E] at positions [S, E]: [B, T, E].

    Tokens do not attend to each other here; those of all prompts that share an image form one set.
    """
    rows_bnte = absorbed_queries(attention, queries)
    rows = rows_bnte.reshape(len(image), -1, rows_bnte.shape[-1])
    attended = kernel_of("token_to_image", image)(rows, image, key_pe, 1.0)
    return project_attended(attention, attended.reshape(rows_bnte.shape))


def updated_image(
    layer: TwoWayAttentionBlock, image: Tensor, key_pe: Tensor, values: Tensor, keys: Tensor
) -> Tensor:
    """The last step of a block: images [B or 1, S, E] attend to the tokens [B, T, E] of B prompts: [B, S, E]."""
    attention, norm = layer.cross_attn_image_to_token, layer.norm4
    rows, offsets = absorbed_keys(attention, keys)
    value_rows = absorbed_values(attention, values)
    return kernel_of("image_to_token", image)(
        image, key_pe, rows, offsets, value_rows, norm.weight, norm.bias, 1.0, norm.eps
    )


def kernel_of(operation: str, image: Tensor) -> Kernel:
    kernel = kernel_for(operation, image, image.shape[-1])
    assert kernel is not None, "call fusing_is_open first"
    return kernel


def fusing_is_open(transformer: nn.Module, tokens: Tensor, image_pe: Tensor) -> bool:
    """Whether there are kernels for tokens [P, T, E] on an image with positions [1, E, h, w], without gradients."""
    if not may_absorb(transformer):
        return False
    attention = cast(TwoWayTransformer, transformer).final_attn_token_to_image
    has_kernels = all(
        kernel_for(operation, tokens, tokens.shape[2]) is not None
        for operation in ("token_to_image", "image_to_token")
    )
    return (
        has_kernels
        and tokens.shape[0] > 0
        and not torch.is_grad_enabled()
        and not is_autocast_on(tokens.device.type)
        and image_pe.shape[0] == 1
        and tokens.shape[1] * attention.num_heads <= 2 * attention.internal_dim
        and tokens.shape[1] <= MOST_TOKENS
    )


def is_autocast_on(device: str) -> bool:
    """Whether autocast is on; False for devices without autocast."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)

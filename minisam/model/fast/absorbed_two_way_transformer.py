"""The two-way transformer for few tokens and many prompts: same function, same parameters, half the operations.

The projections of the many image tokens are absorbed into the few prompt tokens (absorbed_projections.py).  Up to the
last step of the first block, all prompts have the same image, and its projections are computed once.  From there on,
each prompt has its own image. Prompts are processed a few at a time, and the images in memory fit into a cache.

B prompts of a block   T prompt tokens   N heads   S image tokens   E embedding_dim
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.jit._trace import is_tracing

from minisam.model.attention import Attention
from minisam.model.fast.absorbed_projections import (
    absorbed_keys,
    absorbed_queries,
    absorbed_values,
    may_absorb,
    project_attended,
    scale,
)
from minisam.model.fast.kernel_choice import kernel_for
from minisam.model.fast.onednn_linear import product
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer

FEWEST_IMAGE_TOKENS = 256
NUMBERS_PER_BLOCK = 2**22  # of all images of a block: four of SAM's, 16 MB in float32
FEWEST_SHARING = 3  # to project an image takes as many products as to absorb its projections for two prompts


def absorbed_two_way_transformer(
    transformer: TwoWayTransformer, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """The output of `transformer` for P prompts, block by block: queries [B, T, E] and the images, B times [S, E].

    image_embedding [P, E, h, w], or [1, E, h, w] for all prompts; image_pe [1, E, h, w]; point_embedding [P, T, E].
    """
    prompts = point_embedding.shape[0]
    keys = image_embedding.flatten(2).transpose(1, 2).contiguous()
    key_pe = image_pe.flatten(2).transpose(1, 2)[0].contiguous()
    layers = [cast(TwoWayAttentionBlock, layer) for layer in transformer.layers]
    first, queries = None, point_embedding
    if layers and keys.shape[0] == 1 and prompts >= FEWEST_SHARING:
        first = FirstBlock(layers.pop(0), keys[0], key_pe)
        queries = first.update_tokens(queries)

    step = prompts_per_block(image_embedding)
    for start in range(0, prompts, step):
        block = slice(start, start + step)
        x, x_pe = queries[block], point_embedding[block]
        images = [*keys.expand(prompts, -1, -1)[block]] if first is None else first.update_images(x, x_pe)
        for layer in layers:
            x, images = absorbed_block(layer, x, images, x_pe, key_pe)
        with_position = [image + key_pe for image in images]
        attended = attend_to_images(transformer.final_attn_token_to_image, x + x_pe, images, with_position)
        yield transformer.norm_final_attn(x + attended), images


def absorbed_block(
    layer: TwoWayAttentionBlock, x: Tensor, images: list[Tensor], x_pe: Tensor, key_pe: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """One block for prompts whose images differ: x and x_pe [B, T, E], B images [S, E] and their positions."""
    with_position = [image + key_pe for image in images]
    to_image = layer.cross_attn_token_to_image
    x = update_tokens(layer, x, x_pe, lambda q: attend_to_images(to_image, q, images, with_position))
    weights = image_weights(layer.cross_attn_image_to_token, x + x_pe, with_position)
    return x, update_images(layer, images, weights, x)


def update_tokens(
    layer: TwoWayAttentionBlock, x: Tensor, x_pe: Tensor, attend_to_image: Callable[[Tensor], Tensor]
) -> Tensor:
    """The first three steps of a block; `attend_to_image` is the second, the attention to the image."""
    if layer.skip_first_layer_pe:
        x = layer.self_attn(q=x, k=x, v=x)
    else:
        q = x + x_pe
        x = x + layer.self_attn(q=q, k=q, v=x)
    x = layer.norm1(x)
    x = layer.norm2(x + attend_to_image(x + x_pe))
    return layer.norm3(x + layer.mlp(x))


class FirstBlock:
    """The first block for all prompts on one image [S, E], which is still the same for all of them."""

    def __init__(self, layer: TwoWayAttentionBlock, image: Tensor, key_pe: Tensor) -> None:
        self.layer, self.image, self.with_position = layer, image, image + key_pe
        to_token = layer.cross_attn_image_to_token
        self.q_nsd = to_token.separate_heads(to_token.q_proj(self.with_position[None]))[0]

    def update_tokens(self, x: Tensor) -> Tensor:
        """[P, T, E] -> [P, T, E]: tokens do not attend to each other here; those of all prompts form one set."""
        attention = self.layer.cross_attn_token_to_image

        def attend_to_image(q: Tensor) -> Tensor:
            out = attention(q=q.flatten(0, 1)[None], k=self.with_position[None], v=self.image[None])
            return out[0].unflatten(0, q.shape[:2])

        return update_tokens(self.layer, x, x, attend_to_image)

    def update_images(self, x: Tensor, x_pe: Tensor) -> list[Tensor]:
        """The images of B prompts, after tokens [B, T, E]."""
        to_token = self.layer.cross_attn_image_to_token
        k_bntd = to_token.separate_heads(to_token.k_proj(x + x_pe)) * scale(to_token)
        k_nrd = k_bntd.transpose(0, 1).flatten(1, 2)
        scores_nbts = (k_nrd @ self.q_nsd.transpose(1, 2)).unflatten(1, x.shape[:2])
        weights_bnts = scores_nbts.softmax(dim=2).transpose(0, 1)
        return update_images(self.layer, [self.image] * len(x), [*weights_bnts.flatten(1, 2)], x)


def attend_to_images(
    attention: Attention, queries: Tensor, images: list[Tensor], with_position: list[Tensor]
) -> Tensor:
    """Attention of tokens [B, T, E] to B images [S, E], with their positional encoding as keys: [B, T, E]."""
    rows_bnte = absorbed_queries(attention, queries)
    attended = [
        product(product(rows, keys.T).softmax(dim=-1), image)
        for rows, keys, image in zip(rows_bnte.flatten(1, 2), with_position, images, strict=True)
    ]
    return project_attended(attention, torch.stack(attended).unflatten(1, rows_bnte.shape[1:3]))


def image_weights(attention: Attention, keys: Tensor, with_position: list[Tensor]) -> list[Tensor]:
    """The attention weights of the tokens of B images [S, E] for prompt tokens [B, T, E]: B times [N·T, S]."""
    rows_bnte, offsets_bnt = absorbed_keys(attention, keys)
    weights = []
    for rows, offset_nt, image in zip(rows_bnte.flatten(1, 2), offsets_bnt, with_position, strict=True):
        scores_nts = product(rows, image.T).unflatten(0, offset_nt.shape) + offset_nt[..., None]
        weights.append(scores_nts.softmax(dim=1).flatten(0, 1))
    return weights


def update_images(
    layer: TwoWayAttentionBlock, images: list[Tensor], weights: list[Tensor], values: Tensor
) -> list[Tensor]:
    """The last step of a block: each of B images [S, E] attends to tokens [B, T, E] and adds their values."""
    value_rows = absorbed_values(layer.cross_attn_image_to_token, values).flatten(1, 2)
    return [
        layer.norm4(product(weight.T, rows).add_(image))
        for weight, rows, image in zip(weights, value_rows, images, strict=True)
    ]


def prompts_per_block(image_embedding: Tensor) -> int:
    """How many prompts on images [..., E, h, w] are processed together."""
    return max(1, NUMBERS_PER_BLOCK // image_embedding[0].numel())


def absorbing_wins(transformer: nn.Module, tokens: Tensor, image_pe: Tensor) -> bool:
    """Whether this code is applicable to tokens [P, T, E] on an image [1, E, h, w], and faster.

    With N·T rows the products cost N·T / (N·D) of the projections that they save.  Measured, they are faster up to
    twice that ratio.
    """
    if not may_absorb(transformer):
        return False
    attention = cast(TwoWayTransformer, transformer).final_attn_token_to_image
    rows = tokens.shape[1] * attention.num_heads
    return (
        tokens.shape[0] > 0
        and rows <= 2 * attention.internal_dim
        and image_pe[0, 0].numel() >= FEWEST_IMAGE_TOKENS
        and tokens.device.type == "cpu"
        and tokens.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not (torch.compiler.is_compiling() or is_tracing())
        and kernel_for("cross_attention", tokens, attention.internal_dim // attention.num_heads) is None
    )

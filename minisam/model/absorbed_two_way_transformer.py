"""The two-way transformer for few tokens and many prompts: same function, same parameters, half the operations.

The few prompt tokens take over the projections of the many image tokens (absorbed_projections.py).  Up to the last
step of the first block the image is the same for every prompt, and its projections are made once.  From there on each
prompt has an image of its own; a few prompts at a time are carried to the end, so that no more images exist than a
cache can hold.

B prompts of a block   T prompt tokens   N heads   S image tokens   E embedding_dim
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.jit._trace import is_tracing

from minisam.model.absorbed_projections import (
    answered_tokens,
    answering_tokens,
    asked_tokens,
    asking_tokens,
    may_absorb,
    scale,
)
from minisam.model.attention import Attention
from minisam.model.kernel_choice import kernel_for
from minisam.model.matrix_product import product
from minisam.model.token_linear import apply_linear
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer

FEWEST_IMAGE_TOKENS = 256
NUMBERS_PER_BLOCK = 2**22  # of all images of a block: four of SAM's, 16 MB in float32
FEWEST_SHARING = 3  # to project an image takes as many products as to absorb its projections for two prompts


def absorbed_two_way_transformer(
    transformer: TwoWayTransformer, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """What `transformer` makes of P prompts, block by block: queries [B, T, E] and the images, B times [S, E].

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
        located = [image + key_pe for image in images]
        attended = ask_images(transformer.final_attn_token_to_image, x + x_pe, images, located)
        yield transformer.norm_final_attn(x + attended), images


def absorbed_block(
    layer: TwoWayAttentionBlock, x: Tensor, images: list[Tensor], x_pe: Tensor, key_pe: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """One block for prompts whose images differ: x and x_pe [B, T, E], B images [S, E] and their positions."""
    located = [image + key_pe for image in images]
    x = update_tokens(
        layer, x, x_pe, lambda q: ask_images(layer.cross_attn_token_to_image, q, images, located)
    )
    weights = asked_by_images(layer.cross_attn_image_to_token, x + x_pe, located)
    return x, update_images(layer, images, weights, x)


def update_tokens(
    layer: TwoWayAttentionBlock, x: Tensor, x_pe: Tensor, ask: Callable[[Tensor], Tensor]
) -> Tensor:
    """The first three steps of a block, of which `ask` is the attention to the image."""
    if layer.skip_first_layer_pe:
        x = layer.self_attn(q=x, k=x, v=x)
    else:
        q = x + x_pe
        x = x + layer.self_attn(q=q, k=q, v=x)
    x = layer.norm1(x)
    x = layer.norm2(x + ask(x + x_pe))
    return layer.norm3(x + layer.mlp(x))


class FirstBlock:
    """The first block for all prompts on one image [S, E], which every one of them still sees as it is."""

    def __init__(self, layer: TwoWayAttentionBlock, image: Tensor, key_pe: Tensor) -> None:
        self.layer, self.image, self.located = layer, image, image + key_pe
        asking = layer.cross_attn_image_to_token
        self.q_nsd = asking.separate_heads(apply_linear(asking.q_proj, self.located[None]))[0]

    def update_tokens(self, x: Tensor) -> Tensor:
        """[P, T, E] -> [P, T, E]: tokens do not see each other here, so those of all prompts ask as one set."""
        attention = self.layer.cross_attn_token_to_image

        def ask(q: Tensor) -> Tensor:
            out = attention(q=q.flatten(0, 1)[None], k=self.located[None], v=self.image[None])
            return out[0].unflatten(0, q.shape[:2])

        return update_tokens(self.layer, x, x, ask)

    def update_images(self, x: Tensor, x_pe: Tensor) -> list[Tensor]:
        """The images of B prompts, after tokens [B, T, E]."""
        asked = self.layer.cross_attn_image_to_token
        k_bntd = asked.separate_heads(apply_linear(asked.k_proj, x + x_pe)) * scale(asked)
        k_nrd = k_bntd.transpose(0, 1).flatten(1, 2)
        scores_nbts = (k_nrd @ self.q_nsd.transpose(1, 2)).unflatten(1, x.shape[:2])
        weights_bnts = scores_nbts.softmax(dim=2).transpose(0, 1)
        return update_images(self.layer, [self.image] * len(x), [*weights_bnts.flatten(1, 2)], x)


def ask_images(attention: Attention, queries: Tensor, images: list[Tensor], located: list[Tensor]) -> Tensor:
    """Attention of tokens [B, T, E] to B images [S, E], whose keys have their positions added: [B, T, E]."""
    rows_bnte = asking_tokens(attention, queries)
    seen = [
        product(product(rows, keys.T).softmax(dim=-1), image)
        for rows, keys, image in zip(rows_bnte.flatten(1, 2), located, images, strict=True)
    ]
    return answered_tokens(attention, torch.stack(seen).unflatten(1, rows_bnte.shape[1:3]))


def asked_by_images(attention: Attention, keys: Tensor, located: list[Tensor]) -> list[Tensor]:
    """How much the tokens of B images [S, E] attend to prompt tokens [B, T, E]: B weights [N·T, S]."""
    rows_bnte, offsets_bnt = asked_tokens(attention, keys)
    weights = []
    for rows, offset_nt, asking in zip(rows_bnte.flatten(1, 2), offsets_bnt, located, strict=True):
        scores_nts = product(rows, asking.T).unflatten(0, offset_nt.shape) + offset_nt[..., None]
        weights.append(scores_nts.softmax(dim=1).flatten(0, 1))
    return weights


def update_images(
    layer: TwoWayAttentionBlock, images: list[Tensor], weights: list[Tensor], values: Tensor
) -> list[Tensor]:
    """The last step of a block: each of B images [S, E] takes up what it attends to among tokens [B, T, E]."""
    told = answering_tokens(layer.cross_attn_image_to_token, values).flatten(1, 2)
    return [
        layer.norm4(product(weight.T, rows).add_(image))
        for weight, rows, image in zip(weights, told, images, strict=True)
    ]


def prompts_per_block(image_embedding: Tensor) -> int:
    """How many prompts on images [..., E, h, w] are carried to the end together."""
    return max(1, NUMBERS_PER_BLOCK // image_embedding[0].numel())


def absorbing_wins(transformer: nn.Module, tokens: Tensor, image_pe: Tensor) -> bool:
    """Whether this way is open to tokens [P, T, E] on an image [1, E, h, w], and faster.

    With N·T rows the products cost N·T / (N·D) of the projections they save.  Measured, they win up to twice that.
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

"""The mask decoder for a few prompts at a time: only their images are in memory, and none is upscaled.

    tokens, image = absorbed_two_way_transformer(image embedding + dense prompt, tokens)     a few prompts at a time
    mask_m        = hypernetwork_m(mask_token_m) · pixels of the image's tokens              token_upscaling.py

P prompts   I images   T tokens   E transformer_dim   h, w grid of the image embedding
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from minisam.model.fast.absorbed_two_way_transformer import absorbed_two_way_transformer, prompts_per_block
from minisam.model.fast.token_upscaling import TokenUpscaling
from minisam.model.hypernetwork_head import hypernetwork_weights
from minisam.model.mask_decoder import MaskDecoder
from minisam.model.two_way_transformer import TwoWayTransformer


def absorbed_masks(
    decoder: MaskDecoder,
    image_embeddings: Tensor,
    image_pe: Tensor,
    tokens: Tensor,
    dense: Tensor,
    image_index: Tensor | None,
    chosen: slice,
) -> tuple[Tensor, Tensor]:
    """Masks [P, chosen, 4·h, 4·w] and predicted IoUs [P, chosen] from tokens [P, T, E], if `absorbing_wins`."""
    transformer, grid = cast(TwoWayTransformer, decoder.transformer), (image_pe.shape[2], image_pe.shape[3])
    upscaling = TokenUpscaling(decoder.output_upscaling)
    masks: dict[int, Tensor] = {}
    ious: dict[int, Tensor] = {}
    if image_index is None:
        image_index = image_of_each_prompt(len(image_embeddings), len(tokens))
    for prompts, src in prompts_by_image(image_embeddings, dense, image_index):
        remaining = iter(prompts.tolist())
        for queries, images in absorbed_two_way_transformer(transformer, src, image_pe, tokens[prompts]):
            weights, predicted = weights_and_ious(decoder, queries, chosen)
            for image, weight, iou in zip(images, weights, predicted, strict=True):
                prompt = next(remaining)
                masks[prompt] = upscaling.masks(image, weight, grid)
                ious[prompt] = iou
    order = range(len(tokens))
    return torch.stack([masks[n] for n in order]), torch.stack([ious[n] for n in order])


def weights_and_ious(decoder: MaskDecoder, tokens: Tensor, chosen: slice) -> tuple[Tensor, Tensor]:
    """Pixel weights [P, chosen, E / 8] and predicted IoUs [P, chosen] from the transformer's tokens [P, T, E]."""
    mask_tokens = tokens[:, 1 : 1 + decoder.num_mask_tokens]
    weights = hypernetwork_weights(decoder.output_hypernetworks_mlps, mask_tokens, chosen)
    return weights, decoder.iou_prediction_head(tokens[:, 0])[:, chosen]


def image_of_each_prompt(images: int, prompts: int) -> Tensor:
    """The image index [P], for one image for all prompts or one image per prompt."""
    return torch.arange(prompts) if images == prompts else torch.zeros(prompts, dtype=torch.long)


def prompts_by_image(
    image_embeddings: Tensor, dense: Tensor, image_index: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Groups of prompts, by index, with their images: [1, E, h, w] if it is the same for all, else one per prompt."""
    differentiated = torch.is_grad_enabled() and dense.requires_grad  # every row has a separate gradient
    if is_one_for_all(dense) and not differentiated:
        for image in image_index.unique():
            yield (image_index == image).nonzero()[:, 0], image_embeddings[image][None] + dense[:1]
    else:
        dense = dense.expand(len(image_index), -1, -1, -1)
        for prompts in torch.arange(len(image_index)).split(prompts_per_block(image_embeddings)):
            yield prompts, image_embeddings[image_index[prompts]] + dense[prompts]


def is_one_for_all(dense: Tensor) -> bool:
    """Whether dense embeddings [P, E, h, w] are one, expanded, as for prompts without masks."""
    return dense.stride(0) == 0 or len(dense) == 1

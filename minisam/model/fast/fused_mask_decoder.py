"""The mask decoder by kernels: prompts share one image until the first update of the image.

P prompts   I images   T tokens   E transformer_dim   h, w grid of the image embedding
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from minisam.model.fast.absorbed_mask_decoder import is_one_for_all, weights_and_ious
from minisam.model.fast.fused_two_way_transformer import fused_two_way_transformer
from minisam.model.hypernetwork_head import hypernetwork_masks
from minisam.model.mask_decoder import MaskDecoder
from minisam.model.two_way_transformer import TwoWayTransformer


def fused_masks(
    decoder: MaskDecoder,
    image_embeddings: Tensor,
    image_pe: Tensor,
    tokens: Tensor,
    dense: Tensor,
    image_index: Tensor | None,
    chosen: slice,
) -> tuple[Tensor, Tensor]:
    """Masks [P, chosen, 4·h, 4·w] and predicted IoUs [P, chosen] from tokens [P, T, E], if `fusing_is_open`."""
    if len(image_embeddings) == 1:
        image_index = None
    if is_one_for_all(dense):
        dense = dense[:1]
    elif image_index is not None:
        image_embeddings, image_index = image_embeddings[image_index], None
    src = image_embeddings + dense
    transformer = cast(TwoWayTransformer, decoder.transformer)
    tokens, src_tokens = fused_two_way_transformer(transformer, src, image_pe, tokens, image_index)
    upscaled = decoder.output_upscaling(src_tokens.transpose(1, 2).unflatten(2, src.shape[-2:]))
    weights, ious = weights_and_ious(decoder, tokens, chosen)
    return hypernetwork_masks(weights, upscaled), ious

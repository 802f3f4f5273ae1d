"""Selects the code for a part of the network: the plain code in the part's file, or a fast path in this folder.

    part            fast path                  used
    mask decoder    absorbed_mask_decoder.py   on a CPU, for few tokens and a large image, if `absorbing_wins`
                    fused_mask_decoder.py      if there are kernels for it and no gradient is needed
    encoder block   grid_block.py              if attention in windows needs no padded copies; on a CPU in bands

Parts of exactly these classes use the dispatcher (fast_paths.py); None selects the plain code.  The plain code is also
used if a layer inside is wrapped or replaced, or has a hook, or if the forward of an instance or class was replaced
(as_built.py): a fast path reads weights where the plain code calls layers, and would ignore these changes.
Attentions select a kernel separately (kernel_choice.py), and onednn_linear.py determines how F.linear is computed in
all of them.
"""

from __future__ import annotations

from torch import Tensor

from minisam.model.fast.absorbed_mask_decoder import absorbed_masks
from minisam.model.fast.absorbed_two_way_transformer import absorbing_wins
from minisam.model.fast.fast_paths import FAST_PATHS
from minisam.model.fast.fused_mask_decoder import fused_masks
from minisam.model.fast.fused_two_way_transformer import fusing_is_open
from minisam.model.fast.grid_block import block_by_bands, block_on_grid, takes_grid, works_by_the_band
from minisam.model.fast.token_upscaling import doubles_tokens
from minisam.model.image_encoder import Block
from minisam.model.mask_decoder import MaskDecoder


def faster_masks(
    decoder: MaskDecoder,
    image_embeddings: Tensor,
    image_pe: Tensor,
    tokens: Tensor,
    dense: Tensor,
    image_index: Tensor | None,
    chosen: slice,
) -> tuple[Tensor, Tensor] | None:
    """The `chosen` masks and predicted IoUs of `MaskDecoder.predict_masks` from its tokens [P, T, E]."""
    inputs = decoder, image_embeddings, image_pe, tokens, dense, image_index, chosen
    if absorbing_wins(decoder.transformer, tokens, image_pe) and doubles_tokens(decoder.output_upscaling):
        return absorbed_masks(*inputs)
    return fused_masks(*inputs) if fusing_is_open(decoder.transformer, tokens, image_pe) else None


def faster_block(block: Block, x: Tensor) -> Tensor | None:
    """`Block.forward` of tokens [B, H, W, C]."""
    if x.device.type == "cpu" and works_by_the_band(block):
        return block_by_bands(block, x)
    return block_on_grid(block, x) if takes_grid(block) else None


FAST_PATHS.update({MaskDecoder: faster_masks, Block: faster_block})

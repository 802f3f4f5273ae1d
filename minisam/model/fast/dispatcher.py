"""Which road computes a part of the network: the plain one in the part's own file, or one of this folder's.

    part            road                       taken
    mask decoder    absorbed_mask_decoder.py   on a CPU, for few tokens on many places, as `absorbing_wins` measures
                    fused_mask_decoder.py      where there are kernels for it and no gradient is needed
    encoder block   grid_block.py              where attention in windows needs no padded copies; on a CPU in bands

A part of exactly these classes asks (roads.py), and None sends it down the plain road.  So does a layer inside that is
wrapped or replaced, a hook, or a forward given to one instance or class (as_built.py): a fast road reads weights where
the plain one calls layers, and would pass over them.  An attention asks for a kernel itself (kernel_choice.py), and
what F.linear does below all of them is up to onednn_linear.py.
"""

from __future__ import annotations

from torch import Tensor

from minisam.model.fast.absorbed_mask_decoder import absorbed_masks
from minisam.model.fast.absorbed_two_way_transformer import absorbing_wins
from minisam.model.fast.fused_mask_decoder import fused_masks
from minisam.model.fast.fused_two_way_transformer import fusing_is_open
from minisam.model.fast.grid_block import block_by_bands, block_on_grid, takes_grid, works_by_the_band
from minisam.model.fast.roads import ROADS
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


ROADS.update({MaskDecoder: faster_masks, Block: faster_block})

"""A block of the image encoder directly on the grid of tokens, without copying or padding windows.

    window block   WindowAttention takes the grid, projects only the real tokens and partitions their q, k and v
    in bands       rows of windows are independent, and after attention so are all tokens: a CPU processes about
                   a thousand tokens at a time, whose hidden layers fit into its cache

B batch   H, W grid   C channels
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.model.drop_path import DropPath
from minisam.model.fast.as_built import has_nothing_attached, is_as_built, is_in_evaluation
from minisam.model.image_encoder import Block
from minisam.model.mlp_block import MLPBlock
from minisam.model.rel_pos_attention import RelPosAttention
from minisam.model.window_attention import WindowAttention

TOKENS_PER_BAND = 1024


def takes_grid(block: Block) -> bool:
    """Whether its window attention is the network's unchanged class, which partitions the grid itself.

    A replaced or modified attention gets windows, as in segment-anything.
    """
    return type(block.attn) is WindowAttention and has_nothing_attached(block.attn)


def block_on_grid(block: Block, x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, H, W, C], for any other parts of the block."""
    return transform(block, attend(block, x))


def works_by_the_band(block: Block) -> bool:
    """Whether the block may run on some rows of windows at a time: in evaluation, without replaced parts or hooks."""
    kinds = WindowAttention, RelPosAttention, MLPBlock, DropPath
    return is_in_evaluation(block) and is_as_built(block, Block, *kinds)


def block_by_bands(block: Block, x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, H, W, C], about `TOKENS_PER_BAND` tokens at a time."""
    rows = max(1, TOKENS_PER_BAND // (x.shape[0] * x.shape[2]))
    if isinstance(block.attn, WindowAttention):
        window = block.attn.window_size
        bands = x.split(window * max(1, rows // window), dim=1)
        return torch.cat([transform(block, attend(block, band)) for band in bands], dim=1)
    return torch.cat([transform(block, band) for band in attend(block, x).split(rows, dim=1)], dim=1)


def attend(block: Block, x: Tensor) -> Tensor:
    """The attention step, in which tokens attend to each other."""
    return x + block.drop_path(block.attn(block.norm1(x)))


def transform(block: Block, x: Tensor) -> Tensor:
    """The MLP step, for each token separately."""
    return x + block.drop_path(block.mlp(block.norm2(x)))

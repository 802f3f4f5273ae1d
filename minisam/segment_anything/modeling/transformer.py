"""segment-anything's `modeling.transformer`; its `Attention` is the decoder's."""

from minisam.model.attention import Attention
from minisam.model.mlp_block import MLPBlock
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer

__all__ = [
    "Attention",
    "MLPBlock",
    "TwoWayAttentionBlock",
    "TwoWayTransformer",
]

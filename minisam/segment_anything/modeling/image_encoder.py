"""segment-anything's `modeling.image_encoder`; its `Attention` is the encoder's."""

from minisam.model.image_encoder import Block, ImageEncoderViT
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mlp_block import MLPBlock
from minisam.model.patch_embed import PatchEmbed
from minisam.model.rel_pos_attention import EncoderAttention as Attention
from minisam.model.rel_pos_scores import add_decomposed_rel_pos, get_rel_pos
from minisam.model.window_partition import window_partition, window_unpartition

__all__ = [
    "Attention",
    "Block",
    "ImageEncoderViT",
    "LayerNorm2d",
    "MLPBlock",
    "PatchEmbed",
    "add_decomposed_rel_pos",
    "get_rel_pos",
    "window_partition",
    "window_unpartition",
]

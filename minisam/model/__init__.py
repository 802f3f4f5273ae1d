"""The network: one file per box of the paper's figure."""

from minisam.model.attention import Attention
from minisam.model.fast import dispatcher as dispatcher  # enables the fast paths
from minisam.model.fourier_encoding import FourierEncoding
from minisam.model.fourier_encoding import FourierEncoding as PositionEmbeddingRandom
from minisam.model.hypernetwork_head import HypernetworkHead
from minisam.model.hypernetwork_head import HypernetworkHead as MLP
from minisam.model.image_encoder import Block, ImageEncoderViT
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mask_decoder import MaskDecoder
from minisam.model.mlp_block import MLPBlock
from minisam.model.patch_embed import PatchEmbed
from minisam.model.prompt_encoder import PromptEncoder
from minisam.model.rel_pos_attention import RelPosAttention
from minisam.model.sam import Sam
from minisam.model.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer
from minisam.model.window_attention import WindowAttention

__all__ = [
    "MLP",
    "Attention",
    "Block",
    "FourierEncoding",
    "HypernetworkHead",
    "ImageEncoderViT",
    "LayerNorm2d",
    "MLPBlock",
    "MaskDecoder",
    "PatchEmbed",
    "PositionEmbeddingRandom",
    "PromptEncoder",
    "RelPosAttention",
    "Sam",
    "TwoWayAttentionBlock",
    "TwoWayTransformer",
    "WindowAttention",
]

"""segment-anything's `modeling`: one module for each box of the paper's figure."""

from minisam.segment_anything.modeling import (
    common,
    image_encoder,
    mask_decoder,
    prompt_encoder,
    sam,
    transformer,
)
from minisam.segment_anything.modeling.image_encoder import ImageEncoderViT
from minisam.segment_anything.modeling.mask_decoder import MaskDecoder
from minisam.segment_anything.modeling.prompt_encoder import PromptEncoder
from minisam.segment_anything.modeling.sam import Sam
from minisam.segment_anything.modeling.transformer import TwoWayTransformer

__all__ = [
    "ImageEncoderViT",
    "MaskDecoder",
    "PromptEncoder",
    "Sam",
    "TwoWayTransformer",
    "common",
    "image_encoder",
    "mask_decoder",
    "prompt_encoder",
    "sam",
    "transformer",
]

"""segment-anything's `modeling.sam`."""

from minisam.model.image_encoder import ImageEncoderViT
from minisam.model.mask_decoder import MaskDecoder
from minisam.model.prompt_encoder import PromptEncoder
from minisam.model.sam import Sam

__all__ = [
    "ImageEncoderViT",
    "MaskDecoder",
    "PromptEncoder",
    "Sam",
]

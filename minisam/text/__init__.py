"""Text and image prompts: a small CLIP, and its embedding as one more token of a prompt (SAM sections 7.5 and D.5)."""

from minisam.text.clip import Clip, ClipConfig
from minisam.text.clip_weights import load_clip_text_weights
from minisam.text.text_sam import TextSam, load_text_sam, save_text_sam
from minisam.text.tokenizer import Tokenizer

__all__ = [
    "Clip",
    "ClipConfig",
    "TextSam",
    "Tokenizer",
    "load_clip_text_weights",
    "load_text_sam",
    "save_text_sam",
]

"""Text and image prompts: a small CLIP, and its embedding as one more token of a prompt (SAM sections 7.5 and D.5)."""

from minisam.text.clip import Clip, ClipConfig
from minisam.text.tokenizer import Tokenizer

__all__ = ["Clip", "ClipConfig", "Tokenizer"]

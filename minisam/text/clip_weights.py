"""OpenAI's CLIP weights in our text encoder: same names, same shapes, no key map.

    width      from token_embedding.weight [vocabulary, width]
    heads      width / 64, in every published CLIP
    layers     the number of resblocks.N

A state dict of the whole CLIP works too: its image encoder is ignored.  Their tokenizer is different from ours; the
numbers of its byte-pair tokens have to come from another program (the end token is the highest of them, as here).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from minisam.checkpoint.formats import read_tensors
from minisam.errors import CheckpointError
from minisam.text.text_encoder import TextEncoder

HEAD_DIM = 64
TEXT_KEYS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")


def text_encoder_from(state_dict: Mapping[str, Tensor]) -> TextEncoder:
    """The text encoder of these weights, of any size, in float32 and evaluation mode.

    Raises CheckpointError if a tensor is missing, has another shape, or does not belong to a CLIP.
    """
    weights = {key: tensor.float() for key, tensor in state_dict.items() if key.startswith(TEXT_KEYS)}
    try:
        vocab_size, width = weights["token_embedding.weight"].shape
        context_length = len(weights["positional_embedding"])
        embed_dim = weights["text_projection"].shape[1]
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"holds no text encoder of CLIP: {error} is missing or of another shape"
        ) from error
    blocks = {match[1] for key in weights if (match := re.match(r"transformer\.resblocks\.(\d+)\.", key))}
    if not blocks or width % HEAD_DIM:
        raise CheckpointError(f"holds no text encoder of CLIP: {len(blocks)} blocks of width {width}")
    with torch.device("meta"):
        encoder = TextEncoder(vocab_size, context_length, embed_dim, width, len(blocks), width // HEAD_DIM)
    try:
        encoder.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError("holds a text encoder whose tensors do not fit each other") from error
    return encoder.eval()


def load_clip_text_weights(path: str | os.PathLike[str]) -> TextEncoder:
    """`text_encoder_from` a file: safetensors, or a .pth with only tensors, also made from a TorchScript archive.

    Raises CheckpointError for a file that is damaged or has other content.
    """
    try:
        return text_encoder_from(read_tensors(path)[0])
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None

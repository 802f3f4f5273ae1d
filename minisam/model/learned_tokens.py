"""Learned tokens: the rows of an embedding, which segment-anything's code reads as its `weight`.

A wrapper around the embedding (LoRA), a hook or a forward of its own has its effect when it is called, and is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.fast.as_built import is_untouched


def learned_tokens(embedding: nn.Module, count: int) -> Tensor:
    """All `count` rows of an embedding, [count, E]."""
    if type(embedding) is nn.Embedding and is_untouched(embedding):
        return embedding.weight
    like = next(embedding.parameters())
    return embedding(torch.arange(count, device=like.device))

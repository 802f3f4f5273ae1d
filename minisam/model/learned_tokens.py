"""Learned tokens: the rows of an embedding; segment-anything's code reads them from its `weight`.

Here the embedding is called: a wrapper around it (LoRA), a hook or a replaced forward then has its effect.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.model.fast.as_built import is_patched, is_untouched


def learned_tokens(embedding: nn.Module, count: int) -> Tensor:
    """All `count` rows of an embedding, [count, E]."""
    if type(embedding) is nn.Embedding and is_untouched(embedding) and not is_patched(nn.Embedding):
        return embedding.weight
    like = next(embedding.parameters())
    return embedding(torch.arange(count, device=like.device))

"""Tokens from outside the prompt encoder, for example a text's embedding, in addition to those of points and boxes.

    sparse = [points, boxes, external]

Attention does not depend on the order of tokens; their position does not matter.

B prompts   N tokens of points and boxes   n external tokens   E embed_dim
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.errors import PromptError


def append_tokens(sparse: Tensor, dense: Tensor, external: Tensor) -> tuple[Tensor, Tensor]:
    """sparse [B or 1, N, E], dense [B or 1, E, h, w] and external [B or 1, n, E] -> the first two for B prompts.

    Raises PromptError if the tokens are from another network, or if the numbers of prompts differ.
    """
    if external.dim() != 3 or external.shape[2] != sparse.shape[2]:
        raise PromptError(
            f"external tokens must have the shape (B, n, {sparse.shape[2]}) for this network, "
            f"got {tuple(external.shape)}: use the network that they were trained with"
        )
    prompts = max(len(sparse), len(external))
    if len(sparse) not in (1, prompts) or len(external) not in (1, prompts):
        raise PromptError(
            f"{len(sparse)} prompts cannot have {len(external)} external tokens; give one for each"
        )
    tokens = [given.expand(prompts, -1, -1) for given in (sparse, external)]
    return torch.cat(tokens, dim=1), dense.expand(prompts, -1, -1, -1)


def check_one_prompt(external: Tensor) -> None:
    """Raises PromptError if the tokens are for several prompts, because only the first would be predicted."""
    if len(external) != 1:
        raise PromptError(
            f"external must be one prompt's tokens [1, n, E], got {len(external)}; use predict_torch for several"
        )

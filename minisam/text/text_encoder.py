"""CLIP's text encoder: a causal transformer whose output is that of the end token (Radford et al. 2021, section 2.4).

    x_t = embedding(token_t) + position_t
    x   = blocks(x), where position t attends only to positions 0 … t
    out = ln_final(x at the end token) · text_projection

A position never attends to later ones. Only the end token, the last of the text, attends to the whole text, and the
padding after it has no effect.

The parameters have the names and shapes of OpenAI's code, and its weights load without a key map.

B texts   T context_length   C width   E embed_dim
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minisam.text.transformer import Transformer, initialise_


class TextEncoder(nn.Module):
    """Tokens [B, ≤ T] int64 -> embeddings [B, E], not normalised.

    The end token must be the highest number of each row.  Raises ValueError for more tokens than `context_length`.
    """

    def __init__(
        self, vocab_size: int, context_length: int, embed_dim: int, width: int, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = Transformer(width, layers, heads)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        initialise_(self.transformer, width, layers)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.hidden_states(tokens)
        return states[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ self.text_projection

    def hidden_states(self, tokens: Tensor) -> Tensor:
        """The output at every position, which depends only on itself and earlier positions, [B, T, C]."""
        length = tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"a text of {length} tokens does not fit into {self.context_length}")
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        for block in self.transformer.resblocks:
            x = block(x, causal)
        return self.ln_final(x)

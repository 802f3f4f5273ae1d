"""The feature aggregator: the tokens after several encoder blocks become one map (RSPrompter, section III-C).

    Fᵢ = Conv3(Conv1(tokens after block i)), to 32 channels
    x <- x + Fᵢ;   x <- x + Conv3ᵢ(x)          for each i, x = 0 at first
    out = Conv3 · Conv3 · Conv1(x)             every convolution but the last with norm and ReLU

Each block adds what it knows to a running sum, which a residual convolution mixes.  The paper writes the convolution
on the previous sum only and no norm; this is its code.

B images   D encoder width   h, w grid of tokens
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

GROUPS = 8


def conv_norm_relu(channels_in: int, channels_out: int, kernel: int, norm: str) -> list[nn.Module]:
    """A convolution with bias, a norm, "batch" or "group", and ReLU."""
    return [
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2),
        nn.BatchNorm2d(channels_out) if norm == "batch" else nn.GroupNorm(GROUPS, channels_out),
        nn.ReLU(),
    ]


class FeatureAggregator(nn.Module):
    """Tokens [B, h, w, D] after each of `states` blocks -> one map [B, channels_out, h, w]."""

    def __init__(
        self, embed_dim: int, states: int, channels_out: int, hidden: int = 32, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(
                *conv_norm_relu(embed_dim, hidden, 1, norm), *conv_norm_relu(hidden, hidden, 3, norm)
            )
            for _ in range(states)
        )
        self.mix = nn.ModuleList(
            nn.Sequential(*conv_norm_relu(hidden, hidden, 3, norm)) for _ in range(states)
        )
        self.fuse = nn.Sequential(
            *conv_norm_relu(hidden, channels_out, 1, norm),
            *conv_norm_relu(channels_out, channels_out, 3, norm),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        total = None
        for tokens, down, mix in zip(states, self.down, self.mix, strict=True):
            features = down(tokens.permute(0, 3, 1, 2))
            total = features if total is None else total + features
            total = total + mix(total)
        return self.fuse(total)

"""Patch embedding: an image becomes a grid of tokens (ViT, section 3.1).

    token[i, j] = W · patch[i, j] + b

Each P × P × 3 patch is flattened and multiplied by one matrix; a convolution with kernel = stride = P is the
same sum.  The grid keeps its two dimensions, with channels last.
"""

from __future__ import annotations

from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """[B, in_chans, H, W] -> [B, H / P, W / P, embed_dim].

    `kernel_size` and `stride` are both P in every SAM; they are pairs because segment-anything's are.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int] = (16, 16),
        stride: tuple[int, int] = (16, 16),
        padding: tuple[int, int] = (0, 0),
        in_chans: int = 3,
        embed_dim: int = 768,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=kernel_size, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)

"""The feature splitter: one map becomes a pyramid, without a path from coarse to fine (RSPrompter, section III-C).

    level −2   stride 4    ConvT2 -> LN -> GELU -> ConvT2         level 0    stride 16   unchanged
    level −1   stride 8    ConvT2                                 level 1    stride 32   2 × 2 maximum
    each then  Conv1 -> LN -> Conv3 -> LN, without bias           level 2    stride 64   every second cell of level 1

This is ViTDet's simple feature pyramid (Li et al. 2022).

B images   C channels   h, w grid of tokens
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from minisam.model.layer_norm_2d import LayerNorm2d


class FeatureSplitter(nn.Module):
    """A map [B, channels_in, h, w] -> the maps [B, width, …] of `levels`, increasing from −2 to 2."""

    def __init__(self, channels_in: int, width: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        half, quarter = channels_in // 2, channels_in // 4
        resize: dict[int, nn.Module] = {
            -2: nn.Sequential(
                nn.ConvTranspose2d(channels_in, half, 2, stride=2),
                LayerNorm2d(half),
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, 2, stride=2),
            ),
            -1: nn.ConvTranspose2d(channels_in, half, 2, stride=2),
            0: nn.Identity(),
            1: nn.MaxPool2d(2),
        }
        channels = {-2: quarter, -1: half, 0: channels_in, 1: channels_in}
        own = [level for level in self.levels if level < 2]
        self.resize = nn.ModuleList(resize[level] for level in own)
        self.lateral = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels[level], width, 1, bias=False),
                LayerNorm2d(width),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                LayerNorm2d(width),
            )
            for level in own
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        pyramid = [
            lateral(resize(features)) for resize, lateral in zip(self.resize, self.lateral, strict=True)
        ]
        return [*pyramid, pyramid[-1][:, :, ::2, ::2]] if 2 in self.levels else pyramid

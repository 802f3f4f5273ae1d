"""The image encoder: a Vision Transformer with windowed and a few global blocks (ViTDet; SAM section A).

    image -> patches + absolute positions -> blocks -> neck -> image embedding

A block is pre-norm:  x ← x + attention(norm1(x));  x ← x + mlp(norm2(x)).  Most blocks attend inside windows;
those listed in `global_attn_indexes` attend over the whole grid and carry information between windows.  There is no
class token and no final norm.  The neck reduces the channels to the decoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.drop_path import DropPath
from minisam.model.fast.fast_paths import by_fast_path
from minisam.model.fast.onednn_linear import faster_linear_layers
from minisam.model.layer_norm_2d import LayerNorm2d
from minisam.model.mlp_block import MLPBlock
from minisam.model.patch_embed import PatchEmbed
from minisam.model.rel_pos_attention import RelPosAttention
from minisam.model.window_attention import WindowAttention
from minisam.model.window_partition import window_partition, window_unpartition


class ImageEncoderViT(nn.Module):
    """[B, 3, H, W], normalised -> image embedding [B, out_chans, H / patch_size, W / patch_size].

    The arguments are segment-anything's; `drop_path_rate` is from the paper.  H and W need not be `img_size`: any
    multiple of the patch size works. Absolute positions are then interpolated bicubically, and the relative ones of
    the global blocks linearly.

    Raises ValueError if an image is not a multiple of the patch size.
    """

    def __init__(
        self,
        img_size: int = 1024,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        qkv_bias: bool = True,
        norm_layer: type[nn.Module] | partial[nn.Module] = nn.LayerNorm,
        act_layer: type[nn.Module] = nn.GELU,
        use_abs_pos: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        global_attn_indexes: tuple[int, ...] = (),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.patch_embed = PatchEmbed(
            (patch_size, patch_size), (patch_size, patch_size), (0, 0), in_chans, embed_dim
        )
        grid = img_size // patch_size
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, embed_dim)) if use_abs_pos else None

        self.blocks = nn.ModuleList(
            Block(
                dim=embed_dim,
                num_heads=num_heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                norm_layer=norm_layer,
                act_layer=act_layer,
                use_rel_pos=use_rel_pos,
                rel_pos_zero_init=rel_pos_zero_init,
                window_size=0 if index in global_attn_indexes else window_size,
                input_size=(grid, grid),
                drop_path_rate=drop_path_rate * index / max(1, depth - 1),
            )
            for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dim, out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: Tensor) -> Tensor:
        embedding, _ = self.forward_features(x)
        return embedding

    @faster_linear_layers
    def forward_features(self, x: Tensor, after: Sequence[int] = ()) -> tuple[Tensor, list[Tensor]]:
        """The image embedding, and the tokens [B, h, w, embed_dim] after each of some blocks, in the order of `after`.

        Blocks are counted from 0, as in `global_attn_indexes`.  Raises ValueError for one that does not exist.
        """
        if not set(after) <= set(range(len(self.blocks))):
            raise ValueError(f"the blocks are 0 to {len(self.blocks) - 1}, got {list(after)}")
        if x.shape[-2] % self.patch_size or x.shape[-1] % self.patch_size:
            raise ValueError(
                f"the image encoder takes sides that are multiples of {self.patch_size}, "
                f"got {x.shape[-2]} x {x.shape[-1]}: pad or resize the image"
            )
        x = self.patch_embed(x).contiguous()
        if self.pos_embed is not None:
            x = x + resize_absolute_positions(self.pos_embed, (x.shape[1], x.shape[2]))
        features: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in after:
                features[index] = x
        return self.neck(x.permute(0, 3, 1, 2)), [features[index] for index in after]


class Block(nn.Module):
    """One transformer block on the grid of tokens, [B, H, W, dim] -> [B, H, W, dim].

    `window_size` 0 means attention over the whole grid, whose size is `input_size`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_layer: type[nn.Module] | partial[nn.Module] = nn.LayerNorm,
        act_layer: type[nn.Module] = nn.GELU,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        input_size: tuple[int, int] = (64, 64),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm1 = norm_layer(dim)
        attention = (dim, num_heads, qkv_bias, use_rel_pos)
        if window_size > 0:
            self.attn = WindowAttention(*attention, window_size, rel_pos_zero_init)
        else:
            self.attn = RelPosAttention(*attention, input_size, rel_pos_zero_init)
        self.norm2 = norm_layer(dim)
        self.mlp = MLPBlock(embedding_dim=dim, mlp_dim=int(dim * mlp_ratio), act=act_layer)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        # Use a fast path to the same result, if there is one (fast/dispatcher.py)
        if (out := by_fast_path(self, x)) is not None:
            return out

        x = x + self.drop_path(self.attend(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def attend(self, tokens: Tensor) -> Tensor:
        """Attention over the whole grid, or in its windows [B·n, S, S, dim]."""
        if self.window_size == 0:
            return self.attn(tokens)
        windows, padded = window_partition(tokens, self.window_size)
        grid = tokens.shape[1], tokens.shape[2]
        return window_unpartition(self.attn(windows), self.window_size, padded, grid)


def resize_absolute_positions(pos_embed: Tensor, grid: tuple[int, int]) -> Tensor:
    """[1, H, W, C] -> [1, *grid, C], bicubic (align_corners=False) if the size differs."""
    if pos_embed.shape[1:3] == grid:
        return pos_embed
    channels_first = pos_embed.permute(0, 3, 1, 2)
    return F.interpolate(channels_first, size=grid, mode="bicubic").permute(0, 2, 3, 1)

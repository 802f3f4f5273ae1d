"""Code that subclasses segment-anything's image encoder or rebuilds its blocks from their parts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from compatibility.surface import ours, theirs
from parity.oracle import SMALL, assert_same, random
from torch import nn

from minisam.bench.twins import randomise

SIZE = SMALL.image_size
X = random(1, 1, 3, SIZE, SIZE)
GEOMETRY: dict[str, Any] = {
    "img_size": SIZE,
    "patch_size": SMALL.patch_size,
    "embed_dim": SMALL.encoder_dim,
    "depth": SMALL.encoder_depth,
    "num_heads": SMALL.encoder_heads,
    "out_chans": SMALL.prompt_dim,
    "norm_layer": partial(nn.LayerNorm, eps=1e-6),
    "use_rel_pos": True,
    "window_size": SMALL.window_size,
    "global_attn_indexes": SMALL.global_attn_indexes,
}


def pair_of(make: Any) -> list[nn.Module]:
    """A network made of each side's modeling.image_encoder, with the same weights."""
    networks = [make(side("modeling.image_encoder")).eval() for side in (ours, theirs)]
    randomise(networks[0], 3)
    networks[1].load_state_dict(networks[0].state_dict(), strict=True)
    return networks


def test_hq_image_encoder():
    def make(modeling: Any) -> nn.Module:
        class ImageEncoderHQ(modeling.ImageEncoderViT):
            def forward(self, x):
                x = self.patch_embed(x)
                if self.pos_embed is not None:
                    x = x + self.pos_embed
                between = []
                for block in self.blocks:
                    x = block(x)
                    if block.window_size == 0:
                        between.append(x)
                return self.neck(x.permute(0, 3, 1, 2)), between

        return ImageEncoderHQ(**GEOMETRY)

    (our, our_between), (their, their_between) = (network(X) for network in pair_of(make))
    assert_same(our, their)
    assert len(our_between) == len(their_between) == len(SMALL.global_attn_indexes)
    assert_same(tuple(our_between), tuple(their_between))


def test_vit_with_skips():
    def make(modeling: Any) -> nn.Module:
        class Backbone(modeling.ImageEncoderViT):
            def __init__(self, in_chans=3, embed_dim=768, global_attn_indexes=(2, 5, 8, 11), **kwargs):
                super().__init__(embed_dim=embed_dim, global_attn_indexes=global_attn_indexes, **kwargs)
                self.chunks, self.in_chans, self.embed_dim = global_attn_indexes, in_chans, embed_dim

            def forward(self, x):
                x = self.patch_embed(x)
                if self.pos_embed is not None:
                    x = x + self.pos_embed
                skips = []
                for index, block in enumerate(self.blocks):
                    x = block(x)
                    if index in self.chunks:
                        skips.append(x)
                return self.neck(x.permute(0, 3, 1, 2)), skips[: len(self.chunks)]

        return Backbone(**GEOMETRY)

    (our, our_skips), (their, their_skips) = (network(X) for network in pair_of(make))
    assert_same(our, their)
    assert_same(tuple(our_skips), tuple(their_skips))


def test_block_around_the_parts_of_a_block():
    """Slices of a volume: an adapter along the slices before a block's attention, which is called in windows."""

    def make(modeling: Any) -> nn.Module:
        class SliceBlock(nn.Module):
            def __init__(self, block):
                super().__init__()
                self.block = block
                self.adapter = nn.Conv3d(SMALL.encoder_dim, SMALL.encoder_dim, (3, 1, 1), padding=(1, 0, 0))

            def forward(self, x):
                x = x + self.adapter(x.permute(3, 0, 1, 2)).permute(1, 2, 3, 0)
                shortcut, size = x, self.block.window_size
                x = self.block.norm1(x)
                H, W = x.shape[1:3]
                if size > 0:
                    x, padded = modeling.window_partition(x, size)
                x = self.block.attn(x)
                if size > 0:
                    x = modeling.window_unpartition(x, size, padded, (H, W))
                x = shortcut + x
                return x + self.block.mlp(self.block.norm2(x))

        encoder = modeling.ImageEncoderViT(**GEOMETRY)
        for index, block in enumerate(encoder.blocks):
            encoder.blocks[index] = SliceBlock(block)
        return encoder

    networks = pair_of(make)
    assert_same(*(network(random(2, 2, 3, SIZE, SIZE)) for network in networks))


def test_another_attention_in_a_block_gets_windows():
    def make(modeling: Any) -> nn.Module:
        class Mean(nn.Module):
            def forward(self, x):
                return x.mean(dim=(1, 2), keepdim=True).expand_as(x)

        encoder = modeling.ImageEncoderViT(**GEOMETRY)
        for block in encoder.blocks:
            block.attn = Mean()
        return encoder

    assert_same(*(network(X) for network in pair_of(make)))


def test_a_wrapped_attention_gives_what_it_gave():
    encoder, _ = pair_of(lambda modeling: modeling.ImageEncoderViT(**GEOMETRY))
    before, seen = encoder(X), []

    class Watched(nn.Module):
        def __init__(self, attention):
            super().__init__()
            self.attention = attention

        def forward(self, x):
            seen.append(tuple(x.shape[1:3]))
            return self.attention(x)

    for block in encoder.blocks:
        block.attn = Watched(block.attn)
    assert_same(encoder(X), before)
    grid, window = SIZE // SMALL.patch_size, SMALL.window_size
    expected = [
        (grid, grid) if n in SMALL.global_attn_indexes else (window, window) for n in range(len(seen))
    ]
    assert seen == expected and torch.is_tensor(before)

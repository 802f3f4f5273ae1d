"""The masked autoencoder (He et al. 2021): from a quarter of the patches, reconstruct the rest.

    visible = encoder( class token, the patches that are kept + their positions )
    all     = [visible, mask tokens for the others], put back in order, + positions
    pixels  = decoder(all)

The encoder is a plain Vision Transformer: no windows, no relative positions.  It is large and processes few patches;
the decoder is small and processes all of them, and is discarded afterwards. `minisam.pretrain.transfer` moves the
encoder into SAM.

B images   L patches   K visible patches   D encoder channels
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from minisam.config import SamConfig
from minisam.model.image_encoder import Block
from minisam.model.patch_embed import PatchEmbed
from minisam.pretrain.random_masking import Masking, random_masking, take
from minisam.pretrain.sincos_positions import sincos_positions
from minisam.seeds import Randomness


class MaskedAutoencoder(nn.Module):
    """Images [B, 3, S, S], normalised -> predicted patches [B, L, P·P·3] and the masking.

    `pos_embed` and `decoder_pos_embed` are fixed.  Parts that SAM's image encoder also has use its names: moving the
    weights is a plain copy.
    """

    pos_embed: Tensor
    decoder_pos_embed: Tensor

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        decoder_dim: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
    ) -> None:
        super().__init__()
        self.img_size, self.patch_size = img_size, patch_size
        self.grid = (img_size // patch_size, img_size // patch_size)
        norm: partial[nn.Module] = partial(nn.LayerNorm, eps=1e-6)
        block = partial(Block, norm_layer=norm, use_rel_pos=False)

        self.patch_embed = PatchEmbed((patch_size, patch_size), (patch_size, patch_size), embed_dim=embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_buffer("pos_embed", sincos_positions(self.grid, embed_dim).flatten(0, 1))
        self.blocks = nn.ModuleList(block(embed_dim, num_heads) for _ in range(depth))
        self.norm = norm(embed_dim)

        self.decoder_embed = nn.Linear(embed_dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_dim))
        self.register_buffer("decoder_pos_embed", sincos_positions(self.grid, decoder_dim).flatten(0, 1))
        self.decoder_blocks = nn.ModuleList(block(decoder_dim, decoder_heads) for _ in range(decoder_depth))
        self.decoder_norm = norm(decoder_dim)
        self.decoder_pred = nn.Linear(decoder_dim, patch_size**2 * 3)
        initialise_(self)

    def forward(
        self, images: Tensor, mask_ratio: float = 0.75, generator: Randomness = None
    ) -> tuple[Tensor, Masking]:
        masking = random_masking(len(images), len(self.pos_embed), mask_ratio, generator, images.device)
        return self.decode(self.encode(images, masking.keep), masking.restore), masking

    def encode(self, images: Tensor, keep: Tensor) -> Tensor:
        """The class token and the patches `keep` [B, K] of the images -> [B, 1 + K, D]."""
        tokens = self.patch_embed(images).flatten(1, 2) + self.pos_embed
        visible = take(tokens, keep)
        return self.norm(
            through(self.blocks, torch.cat([self.cls_token.expand(len(images), -1, -1), visible], 1))
        )

    def decode(self, encoded: Tensor, restore: Tensor) -> Tensor:
        """Encoded [B, 1 + K, D] and the order to restore [B, L] -> patches [B, L, P·P·3]."""
        encoded = self.decoder_embed(encoded)
        class_token, visible = encoded[:, :1], encoded[:, 1:]
        missing = self.mask_token.expand(len(encoded), restore.shape[1] - visible.shape[1], -1)
        patches = (
            take(torch.cat([visible, missing.to(visible.dtype)], dim=1), restore) + self.decoder_pos_embed
        )
        decoded = through(self.decoder_blocks, torch.cat([class_token, patches], dim=1))
        return self.decoder_pred(self.decoder_norm(decoded))[:, 1:]


def through(blocks: nn.ModuleList, tokens: Tensor) -> Tensor:
    """A sequence [B, n, C] through SAM's blocks, treated as a grid of one column."""
    grid = tokens[:, :, None]
    for block in blocks:
        grid = block(grid)
    return grid[:, :, 0]


@torch.no_grad()
def initialise_(mae: MaskedAutoencoder) -> None:
    """Xavier for all matrices, the patch embedding among them; N(0, 0.02²) for the two tokens; biases zero."""
    for module in mae.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(mae.patch_embed.proj.weight.view(mae.patch_embed.proj.out_channels, -1))
    nn.init.normal_(mae.cls_token, std=0.02)
    nn.init.normal_(mae.mask_token, std=0.02)


def build_mae(config: SamConfig, image_size: int | None = None) -> MaskedAutoencoder:
    """The autoencoder whose encoder fits the image encoder of `config`.

    The decoder is MAE's (8 blocks, 512 channels) for SAM's sizes, and smaller for smaller encoders. `image_size`: the
    paper pre-trains at 224 and then uses 1024; our presets pre-train at their input size.
    """
    large = config.encoder_dim >= 768
    return MaskedAutoencoder(
        image_size or (224 if large else config.image_size),
        config.patch_size,
        config.encoder_dim,
        config.encoder_depth,
        config.encoder_heads,
        decoder_dim=512 if large else config.encoder_dim // 2,
        decoder_depth=8 if large else 2,
        decoder_heads=16 if large else config.encoder_heads,
    )

"""The networks by their geometry: vit_b, vit_l and vit_h as published, and our own small, tiny and nano.

A `SamConfig` holds only the geometry; `build_from_config` builds the network with random weights. small is SAM scaled
down by two (512 pixels, 32 × 32 tokens, masks at 128 × 128), tiny by four, and nano by sixteen; nano trains in
minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from minisam.model import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


@dataclass(frozen=True)
class SamConfig:
    """The geometry of a Sam; lengths are in pixels if the name says so, else in channels, tokens or blocks."""

    encoder_dim: int
    encoder_depth: int
    encoder_heads: int
    global_attn_indexes: tuple[int, ...]
    image_size: int = 1024
    patch_size: int = 16
    window_size: int = 14
    prompt_dim: int = 256
    mask_in_chans: int = 16
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    iou_head_hidden_dim: int = 256


CONFIGS: dict[str, SamConfig] = {
    "vit_b": SamConfig(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": SamConfig(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": SamConfig(1280, 32, 16, (7, 15, 23, 31)),
    "tiny": SamConfig(
        encoder_dim=192,
        encoder_depth=6,
        encoder_heads=3,
        global_attn_indexes=(1, 3, 5),
        image_size=256,
        window_size=8,
        prompt_dim=96,
        decoder_heads=3,
        decoder_mlp_dim=256,
        iou_head_hidden_dim=96,
    ),
    "small": SamConfig(
        encoder_dim=192,
        encoder_depth=8,
        encoder_heads=3,
        global_attn_indexes=(1, 4, 7),
        image_size=512,
        window_size=8,
        prompt_dim=96,
        decoder_heads=3,
        decoder_mlp_dim=256,
        iou_head_hidden_dim=96,
    ),
    "nano": SamConfig(
        encoder_dim=96,
        encoder_depth=4,
        encoder_heads=3,
        global_attn_indexes=(1, 3),
        image_size=64,
        patch_size=8,
        window_size=4,
        prompt_dim=96,
        decoder_heads=3,
        decoder_mlp_dim=256,
        iou_head_hidden_dim=96,
    ),
}


def build_from_config(config: SamConfig, drop_path_rate: float = 0.0, dropout: float = 0.0) -> Sam:
    """A Sam of this geometry with random weights, in evaluation mode.

    `drop_path_rate` (encoder) and `dropout` (decoder) are for training; neither has parameters.
    """
    grid = config.image_size // config.patch_size
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=config.encoder_dim,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            out_chans=config.prompt_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config.window_size,
            global_attn_indexes=config.global_attn_indexes,
            drop_path_rate=drop_path_rate,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=config.prompt_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=config.mask_in_chans,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=config.prompt_dim,
            transformer=TwoWayTransformer(
                depth=config.decoder_depth,
                embedding_dim=config.prompt_dim,
                num_heads=config.decoder_heads,
                mlp_dim=config.decoder_mlp_dim,
                dropout=dropout,
            ),
            iou_head_hidden_dim=config.iou_head_hidden_dim,
        ),
    )
    return sam.eval()

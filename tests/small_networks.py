"""A Sam of a few thousand parameters whose every weight counts."""

from __future__ import annotations

import torch

from minisam.config import SamConfig, build_from_config
from minisam.model import Sam

SMALL = SamConfig(
    encoder_dim=32,
    encoder_depth=3,
    encoder_heads=2,
    global_attn_indexes=(1,),
    image_size=48,
    patch_size=8,
    window_size=4,
    prompt_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=16,
    iou_head_hidden_dim=16,
)
"""Six tokens a side, which windows of four do not divide: padding has its say."""


def small_sam(seed: int = 0, config: SamConfig = SMALL) -> Sam:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sam = build_from_config(config)
        with torch.no_grad():
            for parameter in sam.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return sam


def outputs(sam: Sam, multimask: bool = True, prompts: int = 2) -> tuple[torch.Tensor, ...]:
    """Image embedding, masks and predicted IoUs of a fixed image and fixed points."""
    generator = torch.Generator().manual_seed(1)
    size = sam.image_encoder.img_size
    image = torch.randn(1, 3, size, size, generator=generator)
    points = torch.rand(prompts, 1, 2, generator=generator) * size, torch.ones(prompts, 1)
    embedding = sam.image_encoder(image)
    sparse, dense = sam.prompt_encoder(points, None, None)
    masks, ious = sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask)
    return embedding, masks, ious

"""Twins: our network and segment-anything's, of the same geometry and with the same random weights.

Freshly initialised weights would hide errors (position tables are zero, layer norms the identity). Every tensor is
therefore drawn again, at a scale that keeps activations near one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from minisam.bench.original import import_original
from minisam.config import SamConfig, build_from_config
from minisam.model import Sam


def build_twins(config: SamConfig, seed: int = 0) -> tuple[Sam, Any]:
    """Our Sam and the original's.  Raises OriginalMissingError if the latter is not installed."""
    ours, theirs = build_from_config(config), build_original(config)
    randomise(ours, seed)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def build_original(config: SamConfig) -> Any:
    """segment-anything's Sam of this geometry, in evaluation mode."""
    modeling = import_original("modeling")
    grid = config.image_size // config.patch_size
    return modeling.Sam(
        image_encoder=build_original_encoder(config),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=config.prompt_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=config.mask_in_chans,
        ),
        mask_decoder=modeling.MaskDecoder(
            transformer_dim=config.prompt_dim,
            transformer=modeling.TwoWayTransformer(
                config.decoder_depth, config.prompt_dim, config.decoder_heads, config.decoder_mlp_dim
            ),
            iou_head_hidden_dim=config.iou_head_hidden_dim,
        ),
    ).eval()


def build_original_encoder(config: SamConfig) -> Any:
    """segment-anything's image encoder of this geometry, in evaluation mode."""
    return (
        import_original("modeling")
        .ImageEncoderViT(
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
        )
        .eval()
    )


@torch.no_grad()
def randomise(network: nn.Module, seed: int) -> None:
    """Draw every stored tensor from a seed: matrices scaled by fan-in, norms near one, biases and tables non-zero."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = {
        f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Embedding)
    }
    for name, tensor in network.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name in embeddings or "positional" in name:
            tensor.copy_(noise)
        elif name.endswith("bias") or "rel_pos" in name or "pos_embed" in name:
            tensor.copy_(0.3 * noise)
        elif tensor.dim() == 1:
            tensor.copy_(1 + 0.3 * noise)
        else:
            tensor.copy_(noise / tensor[0].numel() ** 0.5)

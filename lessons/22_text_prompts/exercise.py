"""Lesson 22: write three functions, mend the fourth. `minisam lesson check 22 FILE` tells what is right."""

import numpy as np
import torch
from torch import Tensor


def contrastive_losses(images: np.ndarray, texts: np.ndarray, same: np.ndarray, scale: float) -> np.ndarray:
    """images and texts [B, E] of length 1, same [B, B] of 0 and 1 -> the loss of each pair, [B]."""
    raise NotImplementedError


def crop_squares(masks: np.ndarray, expansion: np.ndarray) -> np.ndarray:
    """masks [P, H, W] of 0 and 1, none empty, expansion [P] -> [P, 3]: centre x, centre y and side, in pixels."""
    raise NotImplementedError


def look_inside(query: Tensor, keys: Tensor, values: Tensor, masks: Tensor, patch_size: int) -> Tensor:
    """query [B, D], keys and values [B, 1 + L, D], masks [B, S, S] of 0 and 1 -> [B, D], one head."""
    raise NotImplementedError


def external_tokens(
    embeddings: Tensor, kinds: Tensor, centres: Tensor, projection: Tensor, type_embed: Tensor
) -> Tensor:
    """embeddings [P, C] as CLIP gives them, kinds [P] (0 crop, 1 text), centres [2, C] of the two kinds,
    projection [E, C], type_embed [E] -> tokens of P prompts, [P, 1, E]. Three bugs are in it."""
    unit = embeddings / embeddings.norm()
    centred = unit - centres[0]
    tokens = centred @ projection.T + type_embed
    return tokens[None]

"""Solutions of lesson 22."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def log_sum_exp(rows: np.ndarray) -> np.ndarray:
    top = rows.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(rows - top).sum(axis=1))


def contrastive_losses(images: np.ndarray, texts: np.ndarray, same: np.ndarray, scale: float) -> np.ndarray:
    logits = min(scale, 100.0) * (images @ texts.T)
    twins = (same > 0) & ~np.eye(len(logits), dtype=bool)
    logits = np.where(twins, -np.inf, logits)
    own = np.diag(logits)
    of_images = log_sum_exp(logits) - own
    of_texts = log_sum_exp(logits.T) - own
    return (of_images + of_texts) / 2


def crop_squares(masks: np.ndarray, expansion: np.ndarray) -> np.ndarray:
    squares = []
    for mask, factor in zip(masks, expansion, strict=True):
        rows, columns = np.nonzero(mask)
        x0, x1 = columns.min(), columns.max() + 1
        y0, y1 = rows.min(), rows.max() + 1
        side = factor * max(x1 - x0, y1 - y0)
        squares.append([(x0 + x1) / 2, (y0 + y1) / 2, side])
    return np.array(squares, masks.dtype)


def look_inside(query: Tensor, keys: Tensor, values: Tensor, masks: Tensor, patch_size: int) -> Tensor:
    coverage = F.avg_pool2d(masks[:, None], patch_size).flatten(1)
    most = coverage.amax(dim=1, keepdim=True)
    inside = coverage >= most.clamp(max=0.5)
    scores = (keys[:, 1:] @ query[:, :, None])[:, :, 0] / query.shape[1] ** 0.5
    weights = scores.masked_fill(~inside, -torch.inf).softmax(dim=1)
    return (weights[:, :, None] * values[:, 1:]).sum(dim=1)


def external_tokens(
    embeddings: Tensor, kinds: Tensor, centres: Tensor, projection: Tensor, type_embed: Tensor
) -> Tensor:
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    centred = unit - centres[kinds.long()]
    tokens = centred @ projection.T + type_embed
    return tokens[:, None]

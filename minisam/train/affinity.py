"""The affinity loss trains the image encoder: which tokens belong together (in place of the paper's MAE weights).

    same(p, q) = sigmoid(8 · cos(z_p, z_q) − 4)        z = W e,  one W for each of whole, part and subpart

e is the image embedding at a token and the target is whether the pixels in the middle of tokens p and q lie in
the same node of the part tree.  Through a decoder with random weights, little gradient reaches the encoder. This loss
reaches it directly, and treats every token of an image as a click.  It is computed like a mask loss: dice plus
cross-entropy, with half of the weight on pairs that belong together.

B images   L tokens   E embedding channels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 3


class AffinityHead(nn.Module):
    """Image embedding [B, E, h, w] -> logits [B, LEVELS, L, L]; used in training only, never saved with a Sam."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.metric = nn.Linear(embed_dim, LEVELS * embed_dim, bias=False)

    def forward(self, image_embedding: Tensor) -> Tensor:
        z_blte = (
            self.metric(image_embedding.flatten(2).transpose(1, 2)).unflatten(2, (LEVELS, -1)).transpose(1, 2)
        )
        z_blte = F.normalize(z_blte.float(), dim=-1)
        return 8 * z_blte @ z_blte.mT - 4


def node_of_tokens(labels: Tensor, grid: int) -> Tensor:
    """The node in the middle of each token of a square grid: labels [B, LEVELS, S, S] -> [B, LEVELS, L]."""
    patch = labels.shape[-1] // grid
    return labels[..., patch // 2 :: patch, patch // 2 :: patch].flatten(2)


def affinity_loss(logits: Tensor, labels: Tensor, batch_labels: Tensor | None = None) -> Tensor:
    """The mean over tokens that lie in a node: logits [B, LEVELS, L, L], labels [B, LEVELS, S, S] of the scenes.

    Where these are only a part of a batch, whose labels are `batch_labels`: their part of the batch's mean.
    """
    grid = int(logits.shape[-1] ** 0.5)
    node = node_of_tokens(labels, grid)
    same = (node[..., :, None] == node[..., None, :]).float()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, same, reduction="none")
    together = (cross_entropy * same).sum(-1) / same.sum(-1)
    apart = (cross_entropy * (1 - same)).sum(-1) / (1 - same).sum(-1).clamp(min=1)
    probability = logits.sigmoid()
    overlap = (probability * same).sum(-1)
    dice = 1 - (2 * overlap + 1) / (probability.sum(-1) + same.sum(-1) + 1)
    loss = torch.where(node >= 0, 0.5 * (together + apart) + dice, 0)
    counted = node if batch_labels is None else node_of_tokens(batch_labels, grid)
    return loss.sum() / (counted >= 0).sum().clamp(min=1)

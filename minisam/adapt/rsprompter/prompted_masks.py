"""Masks of SAM's decoder for prompt tokens, and their loss.

    tokens [n, K, E], without a point or box embedding and without a padding point; dense: "no mask" or a mask's
    decoder, mask 0 -> logits at a quarter of the input -> bilinear to the input

    bce      mean over all pixels of the input, as published: an object of 30 × 30 pixels is 0.09 % of 1024² of them
    focal    20 focal + 1 dice, as in SAM, at the size of the logits: targets are the covered shares of their pixels

n prompts   S side of the input   h, w grid of the embedding
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.distributed import summed
from minisam.model import Sam
from minisam.train.losses import DICE_WEIGHT, FOCAL_WEIGHT, dice_loss, focal_loss


def decode_prompts(
    sam: Sam, embedding: Tensor, tokens: Tensor, image_index: Tensor, dense: Tensor | None = None
) -> Tensor:
    """Embeddings [B, E, h, w], tokens [n, K, E] with the image of each [n] -> logits of mask 0, [n, 4h, 4w]."""
    if dense is None:
        no_mask: Tensor = sam.prompt_encoder(None, None, None)[1]
        dense = no_mask.expand(len(tokens), -1, -1, -1)
    image_pe = sam.prompt_encoder.get_dense_pe()
    logits, _ = sam.mask_decoder(
        embedding, image_pe, tokens, dense, multimask_output=False, image_index=image_index
    )
    return logits[:, 0]


def at_input_size(logits: Tensor, side: int) -> Tensor:
    """[n, h, w] -> [n, S, S], bilinear."""
    return F.interpolate(logits[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]


def mask_loss(logits: Tensor, masks: Tensor, kind: str) -> Tensor:
    """Low-resolution logits [n, h, w] and true masks [n, S, S]; with several processes, this process's part.

    0 for n = 0.
    """
    count = summed(torch.tensor(float(len(logits)), device=logits.device)).clamp(min=1)
    targets = masks.float()
    if kind == "bce":
        full = at_input_size(logits, masks.shape[-1])
        of_each = F.binary_cross_entropy_with_logits(full, targets, reduction="none").mean(dim=(1, 2))
    else:
        shares = F.adaptive_avg_pool2d(targets, (logits.shape[-2], logits.shape[-1]))
        of_each = FOCAL_WEIGHT * focal_loss(logits, shares) + DICE_WEIGHT * dice_loss(logits, shares)
    return of_each.sum() / count

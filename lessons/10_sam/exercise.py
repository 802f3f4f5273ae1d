"""Lesson 10: write the first three functions, mend the last. `minisam lesson check 10 FILE` tells what is right."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def scale_points(points: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """points [K, 2] as (x, y) on an image of height × width -> on the image whose longest side is `size` pixels."""
    raise NotImplementedError


def postprocess(low_res: Tensor, size: int, h: int, w: int, height: int, width: int) -> Tensor:
    """Logits [B, C, l, l] of a square input of `size` pixels, of which the image fills h × w -> [B, C, height, width].

    height × width is the original image.
    """
    raise NotImplementedError


def segment(
    image: Tensor, points: Tensor, labels: Tensor, sam: torch.nn.Module, height: int, width: int
) -> Tensor:
    """image [3, h, w] in 0 … 255, points [K, 2] on the original of height × width, labels [K] -> [3, height, width].

    sam.preprocess(image) -> ready, without the axis of the batch
    sam.image_encoder(ready) -> embedding
    sam.prompt_encoder((points [1, K, 2], labels [1, K]), None, None) -> sparse, dense
    sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True) -> low_res, iou
    """
    raise NotImplementedError


def decoder_input(embeddings: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Images' embeddings [I, D, h, w] and prompts' dense embeddings [P, D, h, w] -> [P, D, h, w]. There is a bug in it.

    Each image has P / I prompts, which stand next to each other.
    """
    prompts = len(dense) // len(embeddings)
    own_image = np.repeat(embeddings, prompts, axis=0)
    return own_image * dense

"""Hypernetwork head: each mask token becomes the weights of a linear classifier over the pixels.

    hyper[b, m] = mlp_m(token[b, m])                 mlp(x) = W_n relu(... relu(W_1 x + b_1) ...) + b_n
    mask[b, m, y, x] = sum_c hyper[b, m, c] * upscaled[b, c, y, x]

A network whose output is the weights of another one is called a hypernetwork. Each mask token has its own MLP.

Symbols   B prompts   M mask tokens   D token channels   C, H, W upscaled image embedding
Source    Kirillov et al. 2023 (SAM), appendix A, "Lightweight mask decoder". Weights are keyed as in
          SAM's `output_hypernetworks_mlps`: "0.layers.1.weight" is mask token 0, layer 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def hypernetwork_head(
    tokens: np.ndarray, upscaled: np.ndarray, weights: Mapping[str, np.ndarray]
) -> np.ndarray:
    """tokens [B, M, D], upscaled [B, C, H, W] -> mask logits [B, M, H, W]."""
    hyper = [mlp(tokens[:, m], weights, f"{m}.") for m in range(tokens.shape[1])]
    return hypernetwork_masks(np.stack(hyper, axis=1), upscaled)


def hypernetwork_masks(hyper: np.ndarray, upscaled: np.ndarray) -> np.ndarray:
    """hyper [B, M, C], upscaled [B, C, H, W] -> mask logits [B, M, H, W]."""
    return np.einsum("bmc,bchw->bmhw", hyper, upscaled)


def mlp(x: np.ndarray, weights: Mapping[str, np.ndarray], prefix: str = "") -> np.ndarray:
    """x [..., D] -> [..., C] through every layer, with a ReLU between layers and none after the last."""
    layer = 0
    while f"{prefix}layers.{layer}.weight" in weights:
        if layer > 0:
            x = np.maximum(x, 0)
        x = x @ weights[f"{prefix}layers.{layer}.weight"].T + weights[f"{prefix}layers.{layer}.bias"]
        layer += 1
    return x

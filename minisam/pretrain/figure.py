"""A figure of a masked autoencoder: the image, the visible patches, and the reconstruction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.files import write_atomically
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder
from minisam.pretrain.reconstruction_loss import patchify, unpatchify

TITLES = ("image", "what the encoder sees", "what the decoder draws", "both")
MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))


@torch.no_grad()
def reconstructions(
    mae: MaskedAutoencoder, images: Tensor, mask_ratio: float = 0.75, seed: int = 0
) -> Tensor:
    """For images [B, 3, S, S], normalised: the images of TITLES, [B, 4, 3, S, S] in the same units.

    A prediction has its patch's own scale, so each drawn patch gets the mean and the variance of the true one.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    prediction, masking = mae(images, mask_ratio, generator)
    patches = patchify(images, mae.patch_size)
    mean, std = patches.mean(-1, keepdim=True), (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    drawn = prediction.float() * std + mean
    hidden = masking.hidden[..., None]
    seen = torch.where(hidden, torch.zeros_like(patches), patches)
    both = torch.where(hidden, drawn, patches)
    stacked = torch.stack([patches, seen, drawn, both], dim=1)
    return unpatchify(stacked.flatten(0, 1), mae.patch_size, mae.grid).unflatten(0, (-1, 4))


def as_picture(image: Tensor) -> np.ndarray:
    """A normalised image [3, S, S] -> uint8 [S, S, 3]."""
    return (image.cpu() * STD + MEAN).clamp(0, 255).byte().permute(1, 2, 0).numpy()


def save_reconstructions(path: Path, pictures: Tensor) -> None:
    """Write the images of `reconstructions` as a PNG, one row per image."""
    rows = len(pictures)
    figure = Figure(figsize=(8.8, 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, 4, squeeze=False)
    for row in range(rows):
        for column, title in enumerate(TITLES):
            grid[row, column].imshow(as_picture(pictures[row, column]))
            grid[row, column].set_axis_off()
            if row == 0:
                grid[row, column].set_title(title, fontsize=10)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=100))

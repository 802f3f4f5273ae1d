"""The figure of a masked autoencoder: what is visible is the image, and what is hidden is drawn."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from minisam.config import CONFIGS
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.pretrain.figure import as_picture, reconstructions, save_reconstructions
from minisam.pretrain.masked_autoencoder import build_mae
from minisam.pretrain.reconstruction_loss import patchify


def test_the_four_images_of_a_reconstruction():
    torch.manual_seed(0)
    mae = build_mae(CONFIGS["nano"]).eval()
    images = torch.randn(2, 3, 64, 64) * 3 + 1
    found = reconstructions(mae, images, 0.75, seed=4)
    assert found.shape == (2, 4, 3, 64, 64)
    with torch.no_grad():
        prediction, masking = mae(images, 0.75, torch.Generator().manual_seed(4))
    seen, drawn, both = (patchify(found[:, place], mae.patch_size) for place in (1, 2, 3))
    own = patchify(images, mae.patch_size)
    hidden = masking.hidden
    assert torch.equal(found[:, 0], images) and 0.7 < hidden.float().mean() < 0.8
    assert torch.equal(seen[~hidden], own[~hidden]) and (seen[hidden] == 0).all()
    scaled = prediction * (own.var(-1, keepdim=True) + 1e-6).sqrt() + own.mean(-1, keepdim=True)
    torch.testing.assert_close(drawn, scaled)
    assert torch.equal(both[~hidden], own[~hidden]) and torch.equal(both[hidden], drawn[hidden])
    again, other = (reconstructions(mae, images, 0.75, seed)[:, 1] for seed in (4, 5))
    assert torch.equal(again, found[:, 1]) and not torch.equal(other, again)


def test_a_normalised_image_is_shown_in_its_colours(tmp_path):
    pixels = torch.tensor([[255, 0], [10, 200], [90, 30]], dtype=torch.uint8).view(3, 1, 2).expand(3, 4, 2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    shown = as_picture((pixels - mean) / std + 1e-5)
    assert shown.shape == (4, 2, 3) and np.array_equal(shown, pixels.permute(1, 2, 0).numpy())
    assert as_picture(torch.full((3, 1, 1), 99.0)).tolist() == [[[255, 255, 255]]]
    assert as_picture(torch.full((3, 1, 1), -99.0)).tolist() == [[[0, 0, 0]]]
    save_reconstructions(tmp_path / "a.png", torch.zeros(3, 4, 3, 8, 8))
    with Image.open(tmp_path / "a.png") as figure:
        assert figure.size == (880, 690)

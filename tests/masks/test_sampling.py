"""A random pixel is the one at its rank in reading order; every pixel of a region is as likely as another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.masks import sampling
from minisam.masks.sampling import sample_pixels


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99, float(np.nextafter(np.float32(1), np.float32(0)))])
def test_the_pixel_at_a_share_of_the_region(share, monkeypatch):
    regions = np.random.default_rng(1).random((30, 5, 8)) < 0.3
    regions[0], regions[1] = False, True
    monkeypatch.setattr(sampling, "draw", lambda _, shape, device, generator: torch.full(shape, share))
    for region, (x, y) in zip(regions, sample_pixels(torch.from_numpy(regions)).tolist(), strict=True):
        rows, columns = np.nonzero(region)
        rank = min(int(np.float32(share) * np.float32(len(rows))), len(rows) - 1)
        assert (x, y) == ((columns[rank], rows[rank]) if len(rows) else (0, 0))


def test_every_pixel_is_as_likely():
    region = torch.zeros(1, 3, 4, dtype=torch.bool)
    region[0, 0, 3] = region[0, 1, :2] = region[0, 2, 2] = True
    drawn = sample_pixels(region.expand(8000, -1, -1), torch.Generator().manual_seed(0))
    places, counts = drawn.unique(dim=0, return_counts=True)
    assert places.tolist() == [[0, 1], [1, 1], [2, 2], [3, 0]]
    assert (counts - 2000).abs().max() < 200

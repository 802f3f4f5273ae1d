"""Edges of masks against scipy's filters, thinning of lines at every angle, and true edges pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minisam.data.partworld import render_scenes
from minisam.evaluate import edge_map as edge_map_module
from minisam.evaluate.edge_map import (
    edge_map,
    label_boundaries,
    mask_edges,
    outer_boundary,
    sobel,
    true_edges,
)
from minisam.evaluate.edge_scores import count_edges, edge_scores
from minisam.evaluate.edge_thinning import crest_normals, thin_edges

ndimage = pytest.importorskip("scipy.ndimage", reason="pip install -e '.[test]' brings scipy")


def disc_logits(size: int = 64, radius: float = 20.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return radius - torch.hypot(x - size / 2 + 0.5, y - size / 2 + 0.5)


def test_filters_equal_scipy():
    picture = torch.rand(17, 23, generator=torch.Generator().manual_seed(0))
    array = picture.double().numpy()
    expected = np.hypot(*(ndimage.sobel(array, axis, mode="nearest") for axis in (0, 1))) / 8
    np.testing.assert_allclose(sobel(picture), expected, rtol=1e-5)
    for density in (0.05, 0.5, 0.95):
        mask = picture < density
        grown = ndimage.binary_dilation(mask.numpy(), np.ones((3, 3)))
        np.testing.assert_array_equal(outer_boundary(mask), grown & ~mask.numpy())


def test_a_mask_has_edges_just_outside_and_as_strong_as_its_border_is_sharp():
    logits = disc_logits()
    soft, sharp = mask_edges(logits), mask_edges(4 * logits)
    for edges in (soft, sharp):
        assert edges[logits > 0].eq(0).all()
        assert edges[(logits < 0) & (logits > -0.9)].gt(0).all()
        assert edges[logits < -1.5].eq(0).all()
    assert sharp.max() > 1.5 * soft.max()


def test_the_map_is_the_strongest_mask_scaled_and_thin():
    logits = torch.stack([disc_logits(radius=12), 0.2 * disc_logits(radius=26), -torch.ones(64, 64)])
    edges = edge_map(iter(logits))
    assert edges.max() == 1 and edges.min() == 0
    inner = edges[logits[0].abs() < 3]
    outer = edges[logits[1].abs() < 0.6]
    assert inner[inner > 0].min() > outer.max() > 0
    with pytest.raises(ValueError, match="at least one"):
        edge_map([])
    assert edge_map([-torch.ones(8, 8)]).eq(0).all()


@pytest.mark.parametrize("degrees", range(0, 180, 15))
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_of_a_thick_line_at_any_angle_half_a_pixel_on_either_side_of_its_crest_stays(degrees, offset):
    """Half a pixel, and up to an eighth more: by so much at most a bilinear sample of a crest lies too low."""
    angle = math.radians(degrees)
    y, x = torch.meshgrid(torch.arange(41), torch.arange(41), indexing="ij")
    distance = (x - 20 - offset) * math.sin(angle) - (y - 20) * math.cos(angle)
    strength = torch.exp(-(distance**2) / 4)
    normal_x, normal_y = (part[20, 20].item() for part in crest_normals(strength))
    assert abs(normal_x * math.sin(angle) - normal_y * math.cos(angle)) == pytest.approx(1, abs=1e-3)
    kept, distance = (part[4:-4, 4:-4] for part in (thin_edges(strength) > 0, distance.abs()))
    assert distance[kept].max() <= 0.625
    assert kept[distance < 0.49].all()


def test_of_two_equal_pixels_side_by_side_one_stays():
    strength = torch.zeros(12, 12)
    strength[:, 5:7] = 1
    assert (thin_edges(strength) > 0).sum(dim=1).tolist() == [1] * 12
    assert (thin_edges(strength.T.contiguous()) > 0).sum(dim=0).tolist() == [1] * 12


def test_true_edges_are_where_a_label_changes():
    labels = render_scenes(1, 1, 32).labels[0]
    edges, array = label_boundaries(labels), labels.numpy()
    for y in range(32):
        for x in range(32):
            right = x < 31 and (array[:, y, x] != array[:, y, x + 1]).any()
            below = y < 31 and (array[:, y, x] != array[:, y + 1, x]).any()
            assert edges[y, x] == (right or below)
    thin = true_edges(labels)
    assert 0.5 < thin.sum() / edges.sum() < 1 and not (thin & ~edges).any()


def test_exact_masks_give_the_edges_of_their_scene():
    """The true masks of a scene, as a network would draw them at their best, are nearly perfect edges."""
    labels = render_scenes(2, 1, 256).labels[0]
    masks = [labels[level] == node for level in range(3) for node in labels[level].unique() if node >= 0]
    edges = edge_map(8 * mask.float() - 4 for mask in masks)
    scores = edge_scores([count_edges(edges.numpy(), [true_edges(labels).numpy()])])
    assert scores.ods > 0.9


def test_strengths_go_from_0_to_1_even_where_every_pixel_is_an_edge(monkeypatch):
    monkeypatch.setattr(edge_map_module, "thin_edges", lambda strength: strength)
    board = torch.arange(6)[:, None] + torch.arange(7) & 1
    sizes = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(0)) * 3 + 0.2
    logits = [(2.0 * board - 1) * sizes[0], (1 - 2.0 * board) * sizes[1]]
    strongest = torch.stack([mask_edges(one) for one in logits]).amax(dim=0)
    assert strongest.min() > 0.02 * strongest.max()
    expected = (strongest - strongest.min()) / (strongest.max() - strongest.min())
    torch.testing.assert_close(edge_map(logits), expected)
    assert (edge_map([torch.full((4, 4), -1.0)]) == 0).all()

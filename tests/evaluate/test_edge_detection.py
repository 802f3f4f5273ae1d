"""Clicks on a grid, duplicates dropped, and the edges of what is left."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.evaluate.edge_detection import detect_edges, distinct_masks, edges_of_masks
from minisam.evaluate.edge_map import edge_map, true_edges
from minisam.evaluate.edge_scores import count_edges, edge_scores
from minisam.predict import SamPredictor


class Quadrants:
    """Answers a click with its quarter of the image, its half, and the quarter again but less sure."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.model = SimpleNamespace(mask_threshold=0.0, postprocess_masks=lambda logits, *_: logits)
        self.transform = SimpleNamespace(apply_coords=lambda coords, size: coords)
        self.clicks: list[list[float]] = []

    def set_image(self, image):
        self.input_size = self.original_size = self.size = image.shape[:2]

    def masks(self, x, y):
        height, width = self.size
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        half = (rows < height / 2) == (y < height / 2)
        quarter = half & ((columns < width / 2) == (x < width / 2))
        return torch.stack([quarter * 12.0 - 6, half.expand(height, width) * 8.0 - 4, quarter * 2.0 - 1])

    def predict_low_res_torch(self, coords, labels):
        assert labels.eq(1).all()
        self.clicks += coords[:, 0].tolist()
        masks = [self.masks(x, y) for x, y in coords[:, 0].tolist()]
        return torch.stack(masks), torch.tensor([[0.9, 0.8, 0.3]]).expand(len(coords), -1)


def test_the_edges_are_those_of_the_masks_that_stay():
    predictor = Quadrants()
    found = detect_edges(predictor, np.zeros((24, 32, 3), np.uint8), points_per_side=4, points_per_batch=3)  # pyright: ignore
    assert len(predictor.clicks) == 16
    assert predictor.clicks[0] == [4, 3] and predictor.clicks[-1] == [28, 21]
    quarters = [predictor.masks(x, y)[place] for place in (0, 1) for x in (1, 31) for y in (1, 23)]
    np.testing.assert_array_equal(found, edge_map(quarters).numpy())
    masks = distinct_masks(predictor, points_per_side=4)  # pyright: ignore
    assert len(masks) == 6  # four quarters, two halves; the less sure quarters are duplicates
    np.testing.assert_array_equal(edges_of_masks(predictor, masks), found)  # pyright: ignore
    assert found.dtype == np.float32 and (found[12] > 0).sum() + (found[11] > 0).sum() >= 30


def test_no_mask_gives_no_edge(monkeypatch):
    predictor = Quadrants()
    monkeypatch.setattr(predictor, "masks", lambda *_: -torch.ones(3, 24, 32))
    assert not detect_edges(predictor, np.zeros((24, 32, 3), np.uint8), points_per_side=2).any()  # pyright: ignore


@pytest.mark.parametrize("threshold", [0.0, 0.5, -3.0, 5.0])
def test_masks_are_what_is_above_the_networks_own_threshold(threshold):
    """Logits and threshold moved together leave the same masks; the order of duplicates is by score alone."""
    usual, moved = Quadrants(), Quadrants()
    moved.model.mask_threshold = threshold
    own = moved.masks
    moved.masks = lambda x, y: own(x, y) + threshold
    image = np.zeros((24, 32, 3), np.uint8)
    for predictor in (usual, moved):
        predictor.set_image(image)
    expected, found = (distinct_masks(predictor, 4) for predictor in (usual, moved))  # pyright: ignore
    assert found.equal(expected + threshold)


def test_nano_finds_the_edges_of_its_own_picture():
    predictor = SamPredictor(build_sam("nano"))
    scenes = render_scenes(2**31, 2, 64, object_scale=1.5)
    truths = [[true_edges(labels).numpy()] for labels in scenes.labels]
    edges = [
        detect_edges(predictor, image.permute(1, 2, 0).contiguous().numpy(), 8) for image in scenes.images
    ]

    def ods(predicted):
        counts = [count_edges(one, truth, 1.5) for one, truth in zip(predicted, truths, strict=True)]
        return edge_scores(counts).ods

    assert ods(edges) > ods(edges[::-1]) + 0.1

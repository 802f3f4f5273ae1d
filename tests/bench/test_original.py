"""The original's package comes in without torchvision, and leaves no trace of the stand-ins behind."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minisam.bench import original


def test_a_missing_package_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setattr(original, "PACKAGE", "segment_anything_that_is_not_there")
    assert not original.is_installed()
    with pytest.raises(original.OriginalMissingError, match="pip install --no-deps segment-anything-py"):
        original.import_original()


@pytest.mark.skipif(not original.is_installed(), reason=original.INSTALL_COMMAND)
def test_stand_ins_are_gone_after_the_import():
    package = original.import_original()
    assert package.sam_model_registry.keys() == {"default", "vit_h", "vit_l", "vit_b"}
    assert original.import_original("utils.transforms") is package.utils.transforms
    if importlib.util.find_spec("torchvision") is None:
        assert not [name for name in sys.modules if name.startswith("torchvision")]


def test_resize_takes_height_before_width():
    image = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    assert np.asarray(original.resize(image, (3, 5))).shape == (3, 5, 3)


def test_resize_is_pillows_bilinear_filter():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8))
    expected = image.resize((9, 31), Image.Resampling.BILINEAR)
    assert np.array_equal(np.asarray(original.resize(image, (31, 9))), np.asarray(expected))


def greedy_nms(boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, threshold: float) -> list[int]:
    """By the definition: take the best box left, drop those of its index that overlap it too much."""

    def iou(a: torch.Tensor, b: torch.Tensor) -> float:
        width = max(0.0, float(min(a[2], b[2]) - max(a[0], b[0])))
        height = max(0.0, float(min(a[3], b[3]) - max(a[1], b[1])))
        areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
        return width * height / (sum(areas) - width * height)

    left = sorted(range(len(boxes)), key=lambda n: -float(scores[n]))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [n for n in left if idxs[n] != idxs[best] or iou(boxes[n], boxes[best]) <= threshold]
    return kept


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 12), st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.7]))
def test_batched_nms_keeps_what_the_definition_keeps(count, seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 12, (count, 2), generator=generator).float()
    boxes = torch.cat([corners, corners + torch.randint(1, 9, (count, 2), generator=generator)], dim=1)
    scores = torch.rand(count, generator=generator)
    idxs = torch.randint(0, 2, (count,), generator=generator)
    kept = original.batched_nms(boxes, scores, idxs, threshold)
    assert kept.tolist() == greedy_nms(boxes, scores, idxs, threshold)


def test_boxes_without_an_area_stay():
    """Their IoU is 0 / 0, and torchvision drops a box only where IoU > threshold."""
    boxes = torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 3], [0, 0, 4, 4]])
    kept = original.batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3), 0.5)
    assert kept.tolist() == [0, 1, 2]

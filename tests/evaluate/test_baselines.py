"""The answers of the classical methods, held against what they must be on images that leave no doubt."""

import importlib

import numpy as np
import pytest
import torch

from minisam.evaluate import baselines
from minisam.evaluate.baselines import (
    ImageTargets,
    baseline_table,
    felzenszwalb_regions,
    filled_boxes,
    grabcut_masks,
    measure_baselines,
    missing_baselines,
)
from minisam.masks.iou import mask_iou


def disc_on_grass(size=96):
    """A red disc on green noise, [h, w] smaller than the size of the targets."""
    y, x = np.mgrid[:size, :size]
    disc = (y - 40) ** 2 + (x - 44) ** 2 < 20**2
    image = np.random.default_rng(0).integers(90, 130, (80, size, 3), dtype=np.uint8)
    image[:, :, 0] = 20
    image[disc[:80]] = (220, 30, 40)
    return image, torch.from_numpy(disc)[None]


def needs(package):
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None,
        reason=f"pip install {baselines.INSTALLED_BY[package]} runs this",
    )


def test_a_filled_box_is_all_of_the_box():
    image, targets = disc_on_grass()
    masks = filled_boxes(image, torch.cat([targets, targets.roll(5, dims=2)]))
    assert masks.shape == (2, 1, 96, 96)
    rows, columns = (targets[0].any(dim=axis).nonzero() for axis in (1, 0))
    expected = torch.zeros(96, 96, dtype=torch.bool)
    expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert torch.equal(masks[0, 0], expected)
    assert torch.equal(masks[1, 0], expected.roll(5, dims=1))
    assert mask_iou(masks[0, 0], targets[0]).item() == pytest.approx(targets.sum().item() / 39**2)


@needs("cv2")
def test_grabcut_finds_a_red_disc_on_grass():
    image, targets = disc_on_grass()
    masks = grabcut_masks(image, targets)
    assert masks.shape == (1, 1, 96, 96)
    assert mask_iou(masks[0, 0], targets[0]) > 0.95
    assert torch.equal(masks, grabcut_masks(image, targets))


@needs("cv2")
def test_grabcut_of_the_whole_image_is_the_box():
    image, _ = disc_on_grass()
    everything = torch.zeros(1, 96, 96, dtype=torch.bool)
    everything[0, :80] = True
    assert torch.equal(grabcut_masks(image, everything), filled_boxes(image, everything))


@needs("skimage")
def test_felzenszwalb_finds_a_red_disc_on_grass():
    image, targets = disc_on_grass()
    masks = felzenszwalb_regions(image, targets)
    assert masks.shape == (1, 3, 96, 96)
    assert mask_iou(masks[0], targets).max() > 0.75  # its blur takes the rim away
    assert not masks[:, :, 80:].any()  # nothing in the padding


def test_measured_over_images_and_put_into_a_table(monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda package: None)
    image, targets = disc_on_grass()
    results = measure_baselines([ImageTargets(image, targets), ImageTargets(image, targets.repeat(2, 1, 1))])
    assert list(results) == ["filled box"]
    value = results["filled box"]["box_single"]
    assert value.value == pytest.approx(targets.sum().item() / 39**2) and value.low == pytest.approx(
        value.high
    )
    table = baseline_table(results).splitlines()
    assert table[0] == "| without a network | 1 click, best of 3 scales | 1 click, middle scale | box |"
    assert table[2] == f"| filled box |  |  | {value.value:.3f} |"  # the images are alike
    assert missing_baselines() == [
        "GrabCut: left out; pip install opencv-python-headless",
        "Felzenszwalb: left out; pip install scikit-image",
    ]


def test_the_best_of_the_scales_the_middle_one_and_the_first(monkeypatch):
    image, targets = disc_on_grass()
    masks = torch.zeros(len(targets), 3, *targets.shape[1:], dtype=torch.bool)
    masks[:, 1, :, ::2], masks[:, 2] = targets[:, :, ::2], targets
    scales = baselines.Baseline("scales", None, ("oracle", "top1", "box_single"), lambda *_: masks)
    monkeypatch.setattr(baselines, "BASELINES", (scales,))
    found = measure_baselines([ImageTargets(image, targets)])["scales"]
    half = masks[:, 1].sum().item() / targets.sum().item()
    assert {name: one.value for name, one in found.items()} == pytest.approx(
        {"oracle": 1.0, "top1": half, "box_single": 0.0}
    )


@needs("cv2")
@pytest.mark.parametrize("axis", [0, 1])
def test_grabcut_cuts_a_band_across_the_whole_image(axis):
    """As wide or as high as the image: the rest is left to learn the background from."""
    band = np.zeros((80, 80), bool)
    band[30:50] = True
    band[30:36, 20:60] = False
    band = band if axis == 0 else band.T
    image = np.random.default_rng(0).integers(90, 130, (80, 80, 3), dtype=np.uint8)
    image[..., 0] = 20
    image[band] = (220, 30, 40)
    masks = grabcut_masks(image, torch.from_numpy(band)[None])
    assert mask_iou(masks[0, 0], torch.from_numpy(band)) > 0.95


@needs("cv2")
def test_grabcut_answers_the_box_where_nothing_is_left_outside():
    image = np.random.default_rng(0).integers(0, 255, (30, 30, 3), dtype=np.uint8)
    assert grabcut_masks(image, torch.ones(1, 30, 30, dtype=torch.bool)).all()

"""The automatic mask generator against segment-anything's: its steps one by one, and the whole.

With the same logits the records must be equal to the last bit, so the original's generator is given our
predictor; with its own network there is rounding, and pixels at a threshold may fall on either side.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from parity.oracle import SMALL
from parity.test_predictor import drawn, photo
from scipy import ndimage

from minisam.bench.original import import_original
from minisam.bench.twins import build_original, build_twins
from minisam.build import build_sam
from minisam.config import CONFIGS
from minisam.masks.runs import borders_to_columns, borders_to_rle, box, mask_to_borders
from minisam.masks.small_regions import fill_small_holes, remove_small_islands
from minisam.masks.stability_score import calculate_stability_score
from minisam.predict import SamAutomaticMaskGenerator, SamPredictor
from minisam.predict.everything.crops import generate_crop_boxes, near_crop_edge
from minisam.predict.everything.point_grids import build_all_layer_point_grids

original: Any = import_original("automatic_mask_generator")
steps: Any = import_original("utils.amg")
IMAGES = {"photo": photo()[::3, ::3].copy(), "wide": drawn(61, 233), "square": drawn(128, 128)}


@pytest.fixture(autouse=True)
def opencv(monkeypatch):
    """The one function of OpenCV that the original uses, by scipy: components and their areas."""

    def components(mask: np.ndarray, connectivity: int):
        assert connectivity == 8
        labels, count = ndimage.label(mask, np.ones((3, 3), int))
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        return count + 1, labels, areas[:, None], None

    module = ModuleType("cv2")
    vars(module)["connectedComponentsWithStats"] = components
    monkeypatch.setitem(sys.modules, "cv2", module)


@pytest.mark.parametrize(("side", "layers", "downscale"), [(32, 0, 1), (32, 2, 2), (7, 3, 1), (1, 0, 1)])
def test_point_grids(side, layers, downscale):
    ours = build_all_layer_point_grids(side, layers, downscale)
    for our_grid, their_grid in zip(
        ours, steps.build_all_layer_point_grids(side, layers, downscale), strict=True
    ):
        np.testing.assert_array_equal(our_grid, their_grid)


def test_crop_boxes():
    rng = np.random.default_rng(0)
    for _ in range(100):
        size, ratio = tuple(rng.integers(40, 3000, 2).tolist()), float(rng.choice([0, 0.2, 512 / 1500]))
        boxes, layers = generate_crop_boxes(size, 3, ratio)
        assert ([list(crop) for crop in boxes], layers) == steps.generate_crop_boxes(size, 3, ratio)


def test_boxes_near_a_crops_edge():
    rng = np.random.default_rng(1)
    for crop in generate_crop_boxes((180, 240), 2, 0.3)[0]:
        corner = rng.integers(0, 100, (40, 2))
        boxes = np.concatenate([corner, corner + rng.integers(0, 60, (40, 2))], axis=1)
        expected = steps.is_box_near_crop_edge(torch.from_numpy(boxes), list(crop), [0, 0, 240, 180])
        np.testing.assert_array_equal(
            near_crop_edge(boxes + np.array(crop)[[0, 1, 0, 1]], crop, (180, 240)), expected
        )


def random_masks(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    noise = ndimage.uniform_filter(rng.random((12, 23, 31)), (0, 3, 3))
    masks = torch.from_numpy(noise < np.quantile(noise, 0.1 + 0.8 * rng.random()))
    masks[0], masks[1] = False, True
    return masks


def test_run_lengths_boxes_and_stability():
    masks = random_masks(2)
    boxes = steps.batched_mask_to_box(masks)
    for mask, their_box, their_rle in zip(masks, boxes, steps.mask_to_rle_pytorch(masks), strict=True):
        borders = mask_to_borders(mask.numpy().T)
        assert borders_to_rle(borders, (23, 31)) == their_rle
        assert list(box(borders, 23)) == their_box.tolist()
    logits = torch.randn((5, 40, 50), generator=torch.Generator().manual_seed(3)) * 3
    for threshold, offset in ((0.0, 1.0), (0.3, 0.5)):
        ours = calculate_stability_score(logits, threshold, offset)
        assert torch.equal(ours, steps.calculate_stability_score(logits, threshold, offset))


@pytest.mark.parametrize("min_area", [2, 8, 40])
def test_small_regions(min_area):
    for mask in random_masks(4).numpy()[1:]:
        borders = mask_to_borders(mask.T)
        filled, _ = steps.remove_small_regions(mask, min_area, "holes")
        np.testing.assert_array_equal(
            borders_to_columns(fill_small_holes(borders, mask.shape, min_area), mask.shape).T, filled
        )
        kept, _ = steps.remove_small_regions(mask, min_area, "islands")
        np.testing.assert_array_equal(
            borders_to_columns(remove_small_islands(borders, mask.shape, min_area), mask.shape).T, kept
        )


def assert_same_records(ours: list[dict], theirs: list[dict]) -> None:
    """The same values under the same keys in the same order, masks included."""
    assert len(ours) == len(theirs) > 0
    for our_record, their_record in zip(ours, theirs, strict=True):
        assert list(our_record) == list(their_record)
        np.testing.assert_array_equal(our_record.pop("segmentation"), their_record.pop("segmentation"))
        assert our_record == their_record


# A young network's masks are unsure and unstable; these thresholds pass about half of them.
LENIENT = {"points_per_side": 6, "pred_iou_thresh": 0.25, "stability_score_thresh": 0.05}
OPTIONS = {
    "one layer": {},
    "crops": {"crop_n_layers": 1, "points_per_batch": 7},
    "finer crops": {"crop_n_layers": 2, "crop_n_points_downscale_factor": 2, "crop_overlap_ratio": 0.2},
    "clean": {"min_mask_region_area": 60, "output_mode": "uncompressed_rle"},
    "crops, clean": {"min_mask_region_area": 20, "crop_n_layers": 1, "box_nms_thresh": 0.5},
    "COCO": {"output_mode": "coco_rle", "stability_score_offset": 0.4},
    "all": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 0.95},
    "own points": {
        "points_per_side": None,
        "point_grids": [np.array([[0.2, 0.3], [0.99, 0.01], [0.5, 0.8]])],
    },
}


@pytest.fixture(scope="module")
def trained():
    """The smallest network that ships, in both codes."""
    ours, theirs = build_sam("nano"), build_original(CONFIGS["nano"])
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.fixture(scope="module")
def twins():
    """Random weights, the masks' enlarged until some are stable."""
    ours, theirs = build_twins(SMALL, seed=3)
    for sam in (ours, theirs):
        for mlp in sam.mask_decoder.output_hypernetworks_mlps:
            for parameter in mlp.layers[-1].parameters():
                parameter.data *= 20
    return ours, theirs


def both(sam, their_sam, arguments: dict, image: np.ndarray) -> tuple[list[dict], list[dict]]:
    """Our records and theirs, theirs from the same logits where `their_sam` is None."""
    theirs = original.SamAutomaticMaskGenerator(their_sam or sam, **arguments)
    if their_sam is None:
        theirs.predictor = SamPredictor(sam)
    return SamAutomaticMaskGenerator(sam, **arguments).generate(image), theirs.generate(image)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("image", IMAGES)
def test_same_logits_same_records(trained, image, options):
    assert_same_records(*both(trained[0], None, {**LENIENT, **OPTIONS[options]}, IMAGES[image]))


@pytest.mark.parametrize("image", IMAGES)
def test_same_logits_same_records_of_random_weights(twins, image):
    arguments = {**LENIENT, "crop_n_layers": 1, "stability_score_thresh": 0.2}
    assert_same_records(*both(twins[0], None, arguments, IMAGES[image]))


def assert_nearly_same_records(ours: list[dict], theirs: list[dict]) -> None:
    """The same clicks and scores in the same order, masks that differ in a pixel of a thousand at most."""
    assert len(ours) == len(theirs) > 0
    for our_record, their_record in zip(ours, theirs, strict=True):
        assert our_record["point_coords"] == their_record["point_coords"]
        assert our_record["crop_box"] == their_record["crop_box"]
        assert our_record["predicted_iou"] == pytest.approx(their_record["predicted_iou"], abs=1e-4)
        assert our_record["stability_score"] == pytest.approx(their_record["stability_score"], abs=1e-3)
        differing = our_record["segmentation"] != their_record["segmentation"]
        assert differing.sum() <= 1e-3 * differing.size
        np.testing.assert_allclose(our_record["bbox"], their_record["bbox"], atol=1)


@pytest.mark.parametrize("image", IMAGES)
def test_each_with_its_own_network(trained, image):
    assert_nearly_same_records(*both(*trained, {**LENIENT, "crop_n_layers": 1}, IMAGES[image]))


@pytest.mark.parametrize("image", IMAGES)
def test_each_with_its_own_network_of_random_weights(twins, image):
    arguments = {**LENIENT, "stability_score_thresh": 0.2}
    assert_nearly_same_records(*both(*twins, arguments, IMAGES[image]))


@pytest.mark.parametrize("own", [False, True])
def test_tiny_on_a_photo(own):
    sam, original_sam = build_sam("tiny"), build_original(CONFIGS["tiny"])
    original_sam.load_state_dict(sam.state_dict())
    arguments = {"points_per_side": 8, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}
    if own:
        assert_nearly_same_records(*both(sam, original_sam, arguments, photo()))
    else:
        assert_same_records(*both(sam, None, arguments, photo()))

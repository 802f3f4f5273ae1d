"""What the generator's own options do; what it shares with the original is in tests/parity/test_amg.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tqdm import tqdm

from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.errors import GeneratorError, ImageError
from minisam.masks.rle import decode_rle
from minisam.masks.stability_score import calculate_stability_score
from minisam.predict import PRESETS, SamAutomaticMaskGenerator, SamPredictor
from minisam.predict.everything import automatic_mask_generator

LENIENT = {"points_per_side": 5, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.05}


@pytest.fixture(scope="module")
def nano():
    return build_sam("nano")


@pytest.fixture(scope="module")
def image():
    return render_scenes(seed=5, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy().copy()


def as_masks(records: list[dict]) -> list[np.ndarray]:
    return [
        r["segmentation"] if isinstance(r["segmentation"], np.ndarray) else decode_rle(r["segmentation"])
        for r in records
    ]


@pytest.mark.parametrize("threshold", [-1.5, -0.5, 0.0])
def test_masks_and_their_stability_are_those_at_the_networks_threshold(nano, image, monkeypatch, threshold):
    """Of a single click in the middle, without filters; the pixels of a photograph are those of the predictor."""
    monkeypatch.setattr(nano, "mask_threshold", threshold)
    generator = SamAutomaticMaskGenerator(
        nano, points_per_side=1, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0
    )
    records = generator.generate(image)
    height, width = image.shape[:2]
    predictor = SamPredictor(nano)
    predictor.set_image(image)
    click = np.array([[width / 2, height / 2]]), np.array([1])
    logits, iou, _ = predictor.predict(*click, return_logits=True)
    order = np.argsort(-iou)
    assert [record["predicted_iou"] for record in records] == pytest.approx(iou[order].tolist())
    stability = calculate_stability_score(torch.from_numpy(logits), threshold, 1.0)[torch.from_numpy(order)]
    assert [record["stability_score"] for record in records] == pytest.approx(stability.tolist())
    for mask, own in zip(as_masks(records), logits[order], strict=True):
        assert 0 < mask.mean() < 1 and np.array_equal(mask, own > threshold)


@pytest.mark.parametrize("mode", ["uncompressed_rle", "coco_rle"])
def test_output_modes_hold_the_same_masks(nano, image, mode):
    binary = SamAutomaticMaskGenerator(nano, **LENIENT).generate(image)
    encoded = SamAutomaticMaskGenerator(nano, **LENIENT, output_mode=mode).generate(image)
    assert len(binary) > 5
    for mask, again, record in zip(as_masks(binary), as_masks(encoded), encoded, strict=True):
        np.testing.assert_array_equal(mask, again)
        assert mask.dtype == bool and mask.sum() == record["area"]
        x, y, width, height = record["bbox"]
        assert mask[y : y + height + 1, x : x + width + 1].sum() == record["area"]


def test_clicks_in_a_region_alone(nano, image):
    region = np.zeros(image.shape[:2], bool)
    region[:, : image.shape[1] // 2] = True
    generator = SamAutomaticMaskGenerator(nano, **LENIENT, crop_n_layers=1)
    records = generator.generate(image, region)
    assert records
    for record in records:
        x, y = record["point_coords"][0]
        assert region[int(y), int(x)]
    assert generator.generate(image, np.zeros_like(region)) == []
    with pytest.raises(GeneratorError, match="region must be"):
        generator.generate(image, region[:-1])


def test_a_full_region_changes_nothing(nano, image):
    generator = SamAutomaticMaskGenerator(nano, **LENIENT, output_mode="coco_rle")
    assert generator.generate(image, np.ones(image.shape[:2], bool)) == generator.generate(image)


def test_one_mask_a_click(nano, image):
    options = {**LENIENT, "box_nms_thresh": 1.0, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    three = SamAutomaticMaskGenerator(nano, **options).generate(image)
    one = SamAutomaticMaskGenerator(nano, **options, multimask_output=False).generate(image)
    assert len(three) == 3 * 25 and len(one) == 25
    assert len({tuple(record["point_coords"][0]) for record in one}) == 25


def test_masks_of_most_of_the_image_go(nano, image):
    pixels = image.shape[0] * image.shape[1]
    everything = SamAutomaticMaskGenerator(nano, **LENIENT, box_nms_thresh=1.0).generate(image)
    areas = sorted(record["area"] for record in everything)
    limit = areas[len(areas) // 2]
    small = SamAutomaticMaskGenerator(
        nano, **LENIENT, box_nms_thresh=1.0, max_area_fraction=limit / pixels
    ).generate(image)
    assert sorted(record["area"] for record in small) == [area for area in areas if area < limit]


def test_several_images_in_one_call(nano, image):
    generator = SamAutomaticMaskGenerator(nano, **LENIENT, output_mode="coco_rle")
    images = [image, image[:, ::-1].copy(), image[:40]]
    assert list(generator.generate_batch(iter(images))) == [generator.generate(one) for one in images]


@pytest.mark.parametrize(("options", "together", "calls"), [({}, 2, 2), ({"crop_n_layers": 1}, 4, 5)])
def test_images_and_crops_encoded_together(nano, image, options, together, calls):
    """In so many calls of the encoder; up to rounding, as if each had been alone."""
    generator = SamAutomaticMaskGenerator(nano, **LENIENT, **options)
    images = [image, image[:, ::-1].copy(), image[:40], image[:, :31]][: 3 if not options else 4]
    expected = [generator.generate(one) for one in images]
    batches = []
    hook = nano.image_encoder.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    found = list(generator.generate_batch(iter(images), encoded_together=together))
    hook.remove()
    assert len(batches) == calls and max(batches) == together
    for ours, wanted in zip(found, expected, strict=True):
        assert [one["point_coords"] for one in ours] == [one["point_coords"] for one in wanted] != []
        for one, other in zip(ours, wanted, strict=True):
            assert one["crop_box"] == other["crop_box"]
            assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-4)
            assert (one["segmentation"] != other["segmentation"]).mean() < 1e-3
    for few in (0, 1.5):
        with pytest.raises(GeneratorError, match=f"encoded_together must be at least 1, got {few}"):
            next(generator.generate_batch([image], few))


def test_the_batch_of_clicks_does_not_matter(nano, image):
    """But for rounding, which a batch may do in another order."""
    records = [
        SamAutomaticMaskGenerator(nano, **LENIENT, points_per_batch=batch).generate(image)
        for batch in (64, 7)
    ]
    assert [r["point_coords"] for r in records[0]] == [r["point_coords"] for r in records[1]]
    for one, other in zip(*map(as_masks, records), strict=True):
        assert (one != other).mean() < 1e-3


def test_the_papers_preset(nano, image):
    generator = SamAutomaticMaskGenerator(nano, **{**PRESETS["paper"], **LENIENT, "points_per_side": 8})
    assert [len(grid) for grid in generator.point_grids] == [64, 16, 4]
    records = generator.generate(image)
    assert {tuple(record["crop_box"]) for record in records} - {(0, 0, *image.shape[1::-1])}
    for mask in as_masks(records):
        assert 100 <= mask.sum() < 0.95 * mask.size


def test_memory_does_not_grow_with_masks(nano, image, monkeypatch):
    """No tensor of more than one prompt's masks in pixels is ever made."""
    from minisam.model import Sam

    sizes = []
    postprocess = Sam.postprocess_masks
    monkeypatch.setattr(Sam, "postprocess_masks", lambda *a: sizes.append(len(a[1])) or postprocess(*a))
    assert SamAutomaticMaskGenerator(nano, **LENIENT).generate(image)
    assert max(sizes, default=0) <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"points_per_side": None}, "either points_per_side or point_grids"),
        ({"points_per_side": 8, "point_grids": [np.zeros((1, 2))]}, "either points_per_side or point_grids"),
        ({"output_mode": "png"}, "binary_mask, uncompressed_rle, coco_rle, got 'png'"),
        ({"points_per_batch": 0}, "at least 1"),
        ({"points_per_side": 2, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}, "no click"),
        ({"points_per_side": None, "point_grids": [np.zeros((1, 2))], "crop_n_layers": 1}, "needs 2"),
    ],
)
def test_arguments_that_contradict_each_other(nano, options, words):
    with pytest.raises(GeneratorError, match=words) as caught:
        SamAutomaticMaskGenerator(nano, **options)
    assert "\n" not in str(caught.value)


def test_what_is_no_image(nano):
    with pytest.raises(ImageError):
        SamAutomaticMaskGenerator(nano).generate(torch.zeros(3, 8, 8))  # type: ignore


@pytest.mark.parametrize(("progress", "disable"), [(None, None), (True, False), (False, True)])
def test_progress(nano, image, monkeypatch, progress, disable):
    """One bar over all clicks of all crops; None leaves it to the terminal, and nothing is shown into a file."""
    bars = []

    class Bar(tqdm):
        def __init__(self, **arguments):
            bars.append(arguments)
            super().__init__(**{**arguments, "disable": True})

        def update(self, n=1):
            bars[-1]["done"] = bars[-1].get("done", 0) + n

    monkeypatch.setattr(automatic_mask_generator, "tqdm", Bar)
    SamAutomaticMaskGenerator(nano, **LENIENT, crop_n_layers=1, progress=progress).generate(image)
    (bar,) = bars
    assert bar["disable"] is disable and bar["total"] == bar["done"] == 5 * 25

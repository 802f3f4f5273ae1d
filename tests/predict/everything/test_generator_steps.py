"""`generate` by segment-anything's steps: the same masks as the short way, and steps that a subclass replaces count."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.build import build_sam
from minisam.errors import GeneratorError
from minisam.predict.everything import automatic_mask_generator, generator_steps
from minisam.predict.everything.automatic_mask_generator import SamAutomaticMaskGenerator
from minisam.predict.everything.generator_steps import STEPS, GeneratorSteps
from minisam.predict.everything.mask_data import MaskData

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 72, 3), np.uint8)
LENIENT = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crop_n_layers": 1}


@pytest.fixture(scope="module")
def nano():
    return build_sam("nano")


def same_records(ours: list[dict], theirs: list[dict]) -> bool:
    masks = [
        (one.pop("segmentation"), other.pop("segmentation")) for one, other in zip(ours, theirs, strict=True)
    ]
    return len(ours) > 0 and ours == theirs and all(np.array_equal(*pair) for pair in masks)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("options", [{}, {"min_mask_region_area": 30, "output_mode": "uncompressed_rle"}])
def test_a_step_that_only_passes_on_changes_nothing(nano, name, options):
    calls = []
    own = vars(GeneratorSteps)[name]

    def passing_on(*arguments):
        calls.append(name)
        return getattr(own, "__func__", own)(*arguments)

    step = staticmethod(passing_on) if isinstance(own, staticmethod) else passing_on
    replaced = type("Replaced", (SamAutomaticMaskGenerator,), {name: step})
    plain = SamAutomaticMaskGenerator(nano, **LENIENT, **options)
    assert not plain.steps_are_replaced()
    assert same_records(replaced(nano, **LENIENT, **options).generate(IMAGE), plain.generate(IMAGE))
    assert bool(calls) == (name != "postprocess_small_regions" or "min_mask_region_area" in options)


def test_crops_and_the_image_have_thresholds_of_their_own(nano):
    class BySteps(SamAutomaticMaskGenerator):
        def _generate_masks(self, image):
            return super()._generate_masks(image)

    for within, between in ((0.2, 0.9), (0.9, 0.2)):
        options = {**LENIENT, "box_nms_thresh": within, "crop_nms_thresh": between}
        found = SamAutomaticMaskGenerator(nano, **options).generate(IMAGE)
        assert same_records(BySteps(nano, **options).generate(IMAGE), found)


@pytest.mark.parametrize("keep_largest", [True, False])
@pytest.mark.parametrize(("within", "between"), [(0.2, 0.9), (0.9, 0.2)])
def test_cleaned_masks_are_duplicates_by_the_higher_threshold(
    nano, within, between, keep_largest, monkeypatch
):
    class BySteps(SamAutomaticMaskGenerator):
        def _generate_masks(self, image):
            return super()._generate_masks(image)

    cleaned = []

    def clean(candidates, *settings):
        cleaned.append(settings)
        return candidates

    for module in (automatic_mask_generator, generator_steps):
        monkeypatch.setattr(module, "clean_masks", clean)
    options = {"box_nms_thresh": within, "crop_nms_thresh": between, "min_mask_region_area": 30}
    options["keep_largest_region"] = keep_largest
    for kind in (SamAutomaticMaskGenerator, BySteps):
        kind(nano, **LENIENT, **options).generate(IMAGE)
    assert cleaned == [(IMAGE.shape[:2], 30, 0.9, keep_largest)] * 2


def test_masks_that_a_step_drops_are_gone(nano):
    class Right(SamAutomaticMaskGenerator):
        def _process_batch(self, *arguments):
            data = super()._process_batch(*arguments)
            data.filter(data["points"][:, 0] > 20)
            return data

    found = Right(nano, **{**LENIENT, "crop_n_layers": 0}).generate(IMAGE)
    every = SamAutomaticMaskGenerator(nano, **{**LENIENT, "crop_n_layers": 0}).generate(IMAGE)
    assert 0 < len(found) < len(every)
    assert all(record["point_coords"][0][0] > 20 for record in found)
    (batch,) = Right(nano, **{**LENIENT, "crop_n_layers": 0}).generate_batch([IMAGE])
    assert same_records(batch, found)


def test_a_step_assigned_to_the_object_counts(nano):
    generator = SamAutomaticMaskGenerator(nano, **LENIENT)
    empty = MaskData(rles=[], boxes=[], crop_boxes=[], iou_preds=[], stability_score=[], points=[])
    generator._generate_masks = lambda image: empty
    assert generator.generate(IMAGE) == []


def test_a_region_and_a_step_of_ones_own_do_not_go_together(nano):
    generator = SamAutomaticMaskGenerator(nano, **LENIENT)
    generator._process_crop = lambda *arguments: MaskData()
    with pytest.raises(GeneratorError, match="omit it"):
        generator.generate(IMAGE, np.ones(IMAGE.shape[:2], bool))


def test_no_masks_at_all(nano):
    generator = SamAutomaticMaskGenerator(nano, **{**LENIENT, "pred_iou_thresh": 2.0})
    assert len(generator._generate_masks(IMAGE)["rles"]) == 0
    data = generator._generate_masks(IMAGE)
    assert generator.postprocess_small_regions(data, 10, 0.7) is data


@pytest.mark.parametrize("by_steps", [True, False])
def test_no_image_is_kept_after_the_work(nano, by_steps):
    """An embedding of vit_h takes 4 MB, and a prompt would be answered on the last crop."""

    class BySteps(SamAutomaticMaskGenerator):
        def _generate_masks(self, image):
            return super()._generate_masks(image)

    generator = (BySteps if by_steps else SamAutomaticMaskGenerator)(nano, **LENIENT)
    generator.generate(IMAGE)
    assert not generator.predictor.is_image_set and generator.predictor.features is None

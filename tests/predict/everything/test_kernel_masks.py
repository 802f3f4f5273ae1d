"""Masks by kernels are the masks that are measured one by one: the same clicks, runs and scores, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from low_resolution_cases import random_case

import minisam
from minisam import backend
from minisam.masks.runs import mask_to_borders
from minisam.model.fast.kernel_choice import choose_kernels_by
from minisam.predict import SamAutomaticMaskGenerator
from minisam.predict.everything import kernel_masks
from minisam.predict.everything.kernel_masks import (
    bits_to_borders,
    clicks_filtered_together,
    mask_kernels,
    stable_masks_by_kernels,
)
from minisam.predict.everything.stable_masks import stable_masks
from minisam.predict.everything.upscaled_parts import UpscaledMask
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.reference.mask_bits import mask_bits

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.fixture
def masks_by_kernels():
    """The kernels of masks alone: the network stays with torch, and so the logits stay the same."""
    before = choose_kernels_by(
        lambda name, tensor, width: backend.kernel(name, tensor, width) if name in backend.MASKS else None
    )
    yield
    choose_kernels_by(before)


def assert_same(case, lowest: float, offset=(0, 0), below: int = 0) -> int:
    height = case.original_size[0] + offset[1] + below
    case.low_res = case.low_res.to(DEVICE)
    confident = torch.ones(2, 3, dtype=torch.bool)
    confident[1, 0] = False
    wanted = stable_masks(case.masks(), confident, lowest, offset, height)
    found = stable_masks_by_kernels(case.masks(), confident, lowest, offset, height)
    assert [mask[:2] for mask in found] == [mask[:2] for mask in wanted]
    for mask, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mask.borders, other.borders)
        np.testing.assert_array_equal(mask.stability_score, other.stability_score)
    return len(found)


@pytest.mark.parametrize("lowest", [0.0, 0.6])
def test_random_sizes_and_logits(masks_by_kernels, lowest):
    rng, found = np.random.default_rng(0), 0
    for _ in range(3):
        found += assert_same(random_case(rng, largest=40), lowest)
    assert found > (0 if lowest else 10)


@pytest.mark.parametrize("kind", ["ties", "zeros", "none", "all set", "not finite"])
def test_hard_masks(masks_by_kernels, kind, monkeypatch):
    case = random_case(np.random.default_rng(2), largest=40)
    low_res = case.low_res
    if kind == "not finite":
        low_res[0, 0, 3, 4], low_res[1, 1, 5, 5] = float("nan"), float("inf")
    elif kind == "ties":
        case.low_res, case.threshold, case.offset = (low_res * 2).round() / 3, 1 / 3, 1 / 3
    else:
        low_res[:] = {"zeros": 0.0, "all set": 9.0, "none": -9.0}[kind]
    assert assert_same(case, 0.0) == 5


def test_a_crop_lands_where_it_was_taken(masks_by_kernels):
    case = random_case(np.random.default_rng(5), largest=50)
    assert assert_same(case, 0.0, offset=(4, 3), below=7)


def test_an_unstable_mask_in_doubt_is_not_measured(masks_by_kernels, monkeypatch):
    case = random_case(np.random.default_rng(5), largest=40)
    case.low_res, case.threshold, case.offset = (case.low_res * 2).round() / 3, 1 / 3, 1 / 3
    assert assert_same(case, 0.99) < 5
    measured = []
    monkeypatch.setattr(
        kernel_masks, "UpscaledMask", lambda *place: measured.append(place) or UpscaledMask(*place)
    )
    for lowest, looks in ((0.0, True), (1.5, False)):
        measured.clear()
        stable_masks_by_kernels(case.masks(), torch.tensor([[1, 1, 1], [0, 1, 1]]), lowest, (0, 0), 99)
        assert bool(measured) == looks


def test_none_confident_gives_none(masks_by_kernels):
    case = random_case(np.random.default_rng(5), largest=20)
    case.low_res = case.low_res.to(DEVICE)
    assert stable_masks_by_kernels(case.masks(), torch.zeros(2, 3, dtype=torch.bool), 0.0, (0, 0), 99) == []


@pytest.mark.parametrize("height", [1, 31, 32, 33, 64, 70])
def test_borders_of_bits(height):
    rng = np.random.default_rng(height)
    logits = rng.standard_normal((4, height, 5)) + np.array([0, 9, -9, 1])[:, None, None]
    axes = ((np.arange(count, dtype=np.int32), np.ones((count, 1))) for count in (height, 5))
    words = torch.from_numpy(mask_bits(logits, *next(axes), *next(axes), 0.0))
    for offset, image in (((0, 0), height), ((2, 3), height + 4)):
        found = bits_to_borders(words, offset, image)
        for mask, borders in zip(logits > 0, found, strict=True):
            np.testing.assert_array_equal(borders, mask_to_borders(mask.T, offset, image))
    assert bits_to_borders(words[:0], (0, 0), height) == []


def test_other_types_and_backends_have_no_kernel():
    case = random_case(np.random.default_rng(5), largest=20)
    for name in ("auto", "torch"):
        with minisam.use_backend(name):
            assert mask_kernels(case.masks()) is None
    with minisam.use_backend("triton"):
        assert mask_kernels(case.masks()) is not None
        case.low_res = case.low_res.half()
        assert mask_kernels(case.masks()) is None
    assert backend.kernel_on_cuda("mask_bits", torch.zeros(1, device="meta"), 8) is None
    assert {"mask_statistics", "mask_bits"} <= backend.UNMEASURED


def generator(sam):
    return SamAutomaticMaskGenerator(
        sam,
        points_per_side=2,
        pred_iou_thresh=0.1,
        stability_score_thresh=0.3,
        output_mode="coco_rle",
        progress=False,
    )


def picture() -> np.ndarray:
    image = np.full((24, 28, 3), 40, np.uint8)
    image[4:15, 5:17] = (200, 60, 50)
    image[13:22, 15:26] = (60, 90, 220)
    return image


def test_records_are_equal(masks_by_kernels, monkeypatch):
    sam, calls = minisam.build_sam("nano").to(DEVICE), []
    by_kernels = kernel_masks.stable_masks_by_kernels
    monkeypatch.setattr(
        "minisam.predict.everything.mask_filters.stable_masks_by_kernels",
        lambda *args: calls.append(1) or by_kernels(*args),
    )
    records = generator(sam).generate(picture())
    with minisam.use_backend("torch"):
        wanted = generator(sam).generate(picture())
    assert records == wanted and records and calls


def test_a_round_is_filtered_by_one_set_of_questions(masks_by_kernels, monkeypatch):
    """Four batches that were decoded together; where their bits are too many, a batch at a time again."""
    monkeypatch.setattr("minisam.predict.everything.click_rounds.clicks_a_round", lambda *arguments: 1000)
    by_kernels, asked = kernel_masks.stable_masks_by_kernels, []
    monkeypatch.setattr(
        "minisam.predict.everything.mask_filters.stable_masks_by_kernels",
        lambda masks, *rest: asked.append(len(masks.logits)) or by_kernels(masks, *rest),
    )
    sam = minisam.build_sam("nano").to(DEVICE)
    one_a_batch = generator(sam)
    one_a_batch.points_per_batch = 1
    together = one_a_batch.generate(picture())
    assert asked == [4] and together
    asked.clear()
    monkeypatch.setattr(kernel_masks, "WORDS_TOGETHER", 1)
    assert one_a_batch.generate(picture()) == together
    assert asked == [1, 1, 1, 1]


def test_as_many_clicks_as_their_bits_fit():
    low_res = torch.zeros(5, 3, 8, 8)
    assert clicks_filtered_together(low_res, (1024, 1024), 7) == 7
    with minisam.use_backend("triton"):
        assert clicks_filtered_together(low_res, (1024, 1024), 64) == 1344 > 32 * 32
        assert clicks_filtered_together(low_res, (1025, 1024), 1) == 2**27 // (3 * 1024 * 33)
        assert clicks_filtered_together(low_res[:, :1], (1024, 2048), 64) == 2048
        assert clicks_filtered_together(low_res, (40_000, 40_000), 64) == 64
        assert clicks_filtered_together(low_res.half(), (64, 64), 7) == 7


def test_the_whole_triton_backend_finds_the_same_masks():
    """Its decoder rounds otherwise than torch's: scores agree to five digits."""
    sam = minisam.build_sam("nano").to(DEVICE)
    wanted = generator(sam).generate(picture())
    with minisam.use_backend("triton"):
        records = generator(sam).generate(picture())
    assert len(records) == len(wanted) > 0
    for record, other in zip(records, wanted, strict=True):
        assert record["segmentation"] == other["segmentation"] and record["bbox"] == other["bbox"]
        assert record["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-5)

"""Masks straight from low-resolution logits against the definition: F.interpolate twice, then thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from low_resolution_cases import Case, random_case, smooth

from minisam.masks.runs import borders_to_columns
from minisam.masks.stability_score import calculate_stability_score
from minisam.predict.everything import upscaled_parts
from minisam.predict.everything.stable_masks import stable_masks
from minisam.predict.everything.upscaled_parts import UpscaledMask, stable_masks_by_parts
from minisam_kernels.reference.bilinear_steps import bilinear_steps
from minisam_kernels.reference.mask_statistics import mask_statistics


def assert_equal_to_interpolate(case: Case) -> int:
    """Every mask has the same pixels and the same score, to the bit.  Returns how many F.interpolate decided."""
    upscaled, masks = case.upscaled(), case.masks()
    scores = calculate_stability_score(upscaled, case.threshold, case.offset).numpy()
    pixels = (upscaled > case.threshold).numpy()
    decided = 0
    for prompt, channel in np.ndindex(2, 3):
        mask, score = UpscaledMask(masks, prompt, channel), scores[prompt, channel]
        assert not mask.is_unstable(score)
        np.testing.assert_array_equal(mask.stability_score(), score)
        borders = mask.borders((0, 0), case.original_size[0])
        np.testing.assert_array_equal(
            borders_to_columns(borders, case.original_size).T, pixels[prompt, channel]
        )
        decided += "whole" in vars(mask)
    return decided


def test_random_sizes_and_logits():
    rng = np.random.default_rng(0)
    recomputed = sum(assert_equal_to_interpolate(random_case(rng)) for _ in range(60))
    assert recomputed < 60 * 6 / 3


@pytest.mark.slow
def test_ten_thousand_masks():
    rng = np.random.default_rng(1)
    for _ in range(10_000 // 6 + 1):
        assert_equal_to_interpolate(random_case(rng, largest=700))


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (128, 96), (1, 200), (7, 5), (300, 211)])
@pytest.mark.parametrize("kind", ["zeros", "ties", "all set", "none", "not finite", "bfloat16", "one pixel"])
def test_hard_cases(size, kind):
    low_res = smooth(np.random.default_rng(2), 16, 5) * 4
    if kind in ("zeros", "all set", "none"):
        low_res[:] = {"zeros": 0.0, "all set": 9.0, "none": -9.0}[kind]
    elif kind == "ties":
        low_res = low_res.sign()
    elif kind == "not finite":
        low_res[0, 0, 3, 4], low_res[1, 1, 5, 5] = float("nan"), float("inf")
    elif kind == "bfloat16":
        low_res = low_res.bfloat16()
    elif kind == "one pixel":
        low_res[:] = -8.0
        low_res[:, :, 3, 4] = 12.0
    assert_equal_to_interpolate(
        Case(low_res=low_res, factor=4, original_size=size, threshold=0.0, offset=1.0)
    )


@pytest.mark.parametrize("lowest", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("seed", range(4))
def test_the_masks_are_those_of_the_definition(seed, lowest):
    rng = np.random.default_rng([8, seed])
    case, confident = random_case(rng), torch.from_numpy(rng.random((2, 3)) < 0.8)
    arguments = confident, lowest, (2, 1), case.original_size[0] + 4
    found, wanted = stable_masks_by_parts(case.masks(), *arguments), stable_masks(case.masks(), *arguments)
    assert [mask[:2] for mask in found] == [mask[:2] for mask in wanted]
    for mask, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mask.borders, other.borders)
        np.testing.assert_array_equal(mask.stability_score, other.stability_score)


def test_thresholds_that_coincide():
    low_res = smooth(np.random.default_rng(3), 16, 5)
    for offset in (0.0, 1e-7):
        assert_equal_to_interpolate(
            Case(low_res=low_res, factor=4, original_size=(50, 70), threshold=0.0, offset=offset)
        )


def test_the_early_verdict_is_sharp():
    """On smooth logits it is the score's own, up to a few pixels."""
    low_res = smooth(np.random.default_rng(6), 64, 4) * 10
    case = Case(low_res=low_res, factor=4, original_size=(300, 200), threshold=0.0, offset=1.0)
    scores = calculate_stability_score(case.upscaled(), 0.0, 1.0)
    for prompt, channel in np.ndindex(2, 3):
        mask, score = UpscaledMask(case.masks(), prompt, channel), float(scores[prompt, channel])
        assert mask.is_unstable(score + 0.001) and not mask.is_unstable(score)


def test_the_tie_rule_matters(monkeypatch):
    """Without it, on logits that meet a threshold, some pixel falls on the other side."""
    monkeypatch.setattr(upscaled_parts, "ROUNDINGS", 1e-9)
    rng = np.random.default_rng(4)
    with pytest.raises(AssertionError):
        for _ in range(40):
            case = random_case(rng)
            case.low_res, case.offset = (case.low_res * 2).round() / 3, 1 / 3
            case.threshold = 1 / 3
            assert_equal_to_interpolate(case)


def test_a_crop_lands_where_it_was_taken():
    case = random_case(np.random.default_rng(5))
    height, width = case.original_size
    whole = UpscaledMask(case.masks(), 0, 0).borders((0, 0), height)
    moved = UpscaledMask(case.masks(), 0, 0).borders((4, 3), height + 10)
    expected = np.zeros((height + 10, width + 9), bool)
    expected[3 : 3 + height, 4 : 4 + width] = borders_to_columns(whole, (height, width)).T
    np.testing.assert_array_equal(borders_to_columns(moved, expected.shape).T, expected)
    assert expected.any()


def test_areas_and_boxes_are_the_references():
    """Its weights are exact and F.interpolate's are not: a handful of pixels next to a threshold may differ."""
    rng = np.random.default_rng(7)
    for _ in range(10):
        case = random_case(rng)
        sizes = (case.low_res.shape[2:], (case.sam().image_encoder.img_size,) * 2, case.input_size())
        axes = [bilinear_steps(*axis) for axis in zip(*sizes, case.original_size, strict=True)]
        thresholds = case.masks().thresholds
        logits = case.low_res.double().flatten(0, 1).numpy()
        expected = mask_statistics(logits, *axes[0], *axes[1], *thresholds)
        areas = [(case.upscaled() > threshold).sum((2, 3)).flatten().numpy() for threshold in thresholds]
        np.testing.assert_allclose(np.stack(areas, axis=1), expected[:, :3], rtol=2e-3, atol=3)


def constant_mask(value: float, size: tuple[int, int]):
    case = Case(
        low_res=torch.full((1, 3, 16, 16), value), factor=4, original_size=size, threshold=0.0, offset=1.0
    )
    return UpscaledMask(case.masks(), 0, 0)


def test_the_doubt_covers_every_rounding_of_both_ways():
    """Each way is two steps of four products rounded twice and added in three sums, all of them off by 2^-24."""
    largest = 6.5
    roundings = 2 * (2 + 3)
    of_one_way = ((1 + 2.0**-24) ** roundings - 1) * largest
    assert 2 * of_one_way == pytest.approx(constant_mask(largest, (50, 70)).part.doubt, rel=1e-5)
    assert constant_mask(0.25, (50, 70)).part.doubt == pytest.approx(
        20 * 2.0**-24
    )  # thresholds are rounded as well


@pytest.mark.parametrize(("size", "roundings"), [((50, 70), 10), ((64, 64), 5)])
def test_float64_decides_only_what_interpolation_cannot_round_to_the_other_side(size, roundings):
    """A second step to the same size is a copy and rounds nothing."""
    mask, value, pixel = constant_mask(1.5, size), 1.5, np.array([0, 7])
    bound = roundings * 2.0**-24 * value
    for steps in range(1, 12):
        threshold = value - steps * 2.0**-23  # the next float32 numbers below 1.5
        for limit, side in ((threshold, True), (2 * value - threshold, False)):
            decided = mask.decide(pixel, limit)
            if steps * 2.0**-23 <= bound:
                assert decided is None
            else:
                assert decided is not None and decided.tolist() == [side, side]

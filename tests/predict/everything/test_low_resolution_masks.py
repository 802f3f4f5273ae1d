"""Masks straight from low-resolution logits against the definition: F.interpolate twice, then thresholds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.masks.runs import borders_to_columns
from minisam.masks.stability_score import calculate_stability_score
from minisam.model import Sam
from minisam.predict.everything import low_resolution_masks
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.resize_longest_side import ResizeLongestSide
from minisam_kernels.reference.bilinear_steps import bilinear_steps
from minisam_kernels.reference.mask_statistics import mask_statistics


class Case(SimpleNamespace):
    """Logits of two prompts, on an image of a size, and the thresholds they are held to."""

    low_res: Tensor
    original_size: tuple[int, int]
    threshold: float
    offset: float

    def masks(self) -> LowResolutionMasks:
        thresholds = (self.threshold - self.offset, self.threshold, self.threshold + self.offset)
        return LowResolutionMasks(self.low_res, self.sam(), self.input_size(), self.original_size, thresholds)

    def sam(self):
        side = self.factor * self.low_res.shape[-1]
        sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=side))
        sam.postprocess_masks = lambda *arguments: Sam.postprocess_masks(sam, *arguments)  # type: ignore
        return sam

    def input_size(self) -> tuple[int, int]:
        side = self.factor * self.low_res.shape[-1]
        return ResizeLongestSide.get_preprocess_shape(*self.original_size, side)

    def upscaled(self) -> Tensor:
        return self.sam().postprocess_masks(self.low_res, self.input_size(), self.original_size)


def smooth(rng: np.random.Generator, side: int, knots: int) -> Tensor:
    """Smooth random fields [2, 3, side, side] with as many bumps a side."""
    values = torch.from_numpy(rng.standard_normal((2, 3, knots, knots)).astype(np.float32))
    return F.interpolate(values, (side, side), mode="bicubic")


def random_case(rng: np.random.Generator, largest: int = 320) -> Case:
    """Any image size, a network of 32 to 512 pixels, logits from weak to strong, some of them whole numbers."""
    side = int(rng.choice([16, 64, 128], p=[0.5, 0.4, 0.1]))
    low_res = smooth(rng, side, int(rng.integers(2, 9))) * float(rng.choice([0.5, 3, 20]))
    low_res -= float(rng.choice([0, 0, 2, 10]))
    return Case(
        low_res=low_res.round() if rng.random() < 0.1 else low_res,
        factor=int(rng.choice([2, 4])),
        original_size=tuple(int(length) for length in rng.integers(1, largest, 2)),
        threshold=float(rng.choice([0, 0.3])),
        offset=float(rng.choice([1, 0.1])),
    )


def assert_equal_to_interpolate(case: Case) -> int:
    """Every mask has the same pixels and the same score, to the bit.  Returns how many F.interpolate decided."""
    upscaled, masks = case.upscaled(), case.masks()
    scores = calculate_stability_score(upscaled, case.threshold, case.offset).numpy()
    pixels = (upscaled > case.threshold).numpy()
    for prompt, channel in np.ndindex(2, 3):
        mask, score = masks.measure(prompt, channel), scores[prompt, channel]
        assert not mask.is_unstable(score)
        np.testing.assert_array_equal(mask.stability_score(), score)
        borders = mask.borders((0, 0), case.original_size[0])
        np.testing.assert_array_equal(
            borders_to_columns(borders, case.original_size).T, pixels[prompt, channel]
        )
    return masks.recomputed


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
        mask, score = case.masks().measure(prompt, channel), float(scores[prompt, channel])
        assert mask.is_unstable(score + 0.001) and not mask.is_unstable(score)


def test_the_tie_rule_matters(monkeypatch):
    """Without it, on logits that meet a threshold, some pixel falls on the other side."""
    monkeypatch.setattr(low_resolution_masks, "ROUNDINGS", 1e-9)
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
    whole = case.masks().measure(0, 0).borders((0, 0), height)
    moved = case.masks().measure(0, 0).borders((4, 3), height + 10)
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
        masks = case.masks()
        thresholds = (masks.lower, masks.middle, masks.upper)
        logits = case.low_res.double().flatten(0, 1).numpy()
        expected = mask_statistics(logits, *axes[0], *axes[1], *thresholds)
        areas = [(case.upscaled() > threshold).sum((2, 3)).flatten().numpy() for threshold in thresholds]
        np.testing.assert_allclose(np.stack(areas, axis=1), expected[:, :3], rtol=2e-3, atol=3)


def constant_mask(value: float, size: tuple[int, int]):
    case = Case(
        low_res=torch.full((1, 3, 16, 16), value), factor=4, original_size=size, threshold=0.0, offset=1.0
    )
    return case.masks().measure(0, 0)


def test_the_doubt_covers_every_rounding_of_both_ways():
    """Each way is two steps of four products rounded twice and added in three sums, all of them off by 2^-24."""
    largest = 6.5
    roundings = 2 * (2 + 3)
    of_one_way = ((1 + 2.0**-24) ** roundings - 1) * largest
    assert 2 * of_one_way == pytest.approx(constant_mask(largest, (50, 70)).doubt, rel=1e-5)
    assert constant_mask(0.25, (50, 70)).doubt == pytest.approx(
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

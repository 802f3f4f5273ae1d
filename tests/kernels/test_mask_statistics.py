from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal, seeds

from minisam_kernels.mask_cases import mask_inputs
from minisam_kernels.reference.mask_statistics import mask_statistics, upscaled

sides = st.sampled_from([1, 2, 3, 7, 16])
lengths = st.sampled_from([1, 5, 16, 37, 64])
THRESHOLDS = (-1.0, 0.0, 1.0)


def plain(count: int) -> tuple[np.ndarray, np.ndarray]:
    """An axis that is not scaled."""
    return np.arange(count, dtype=np.int32), np.ones((count, 1))


def unscaled(low_res: np.ndarray, thresholds=THRESHOLDS) -> np.ndarray:
    return mask_statistics(low_res, *plain(low_res.shape[1]), *plain(low_res.shape[2]), *thresholds)


@given(seed=seeds, height=sides, width=sides, tall=lengths, wide=lengths)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_pixels_are_those_of_interpolating_twice(seed, height, width, tall, wide):
    inputs = mask_inputs((2, height, width, tall, wide), np.random.default_rng(seed))
    square = F.interpolate(torch.tensor(inputs["low_res"])[:, None], (4 * height, 4 * width), mode="bilinear")
    kept = [
        max(1, round(4 * side * length / max(tall, wide))) for side, length in ((height, tall), (width, wide))
    ]
    image = F.interpolate(square[..., : kept[0], : kept[1]], (tall, wide), mode="bilinear")[:, 0].numpy()
    pixels, size = upscaled(**inputs)
    np.testing.assert_allclose(pixels, image, rtol=0, atol=1e-10 * abs(inputs["low_res"]).max())
    assert (size >= abs(pixels) * (1 - 1e-12)).all() and size.max() <= abs(inputs["low_res"]).max()
    lower, middle, upper, in_doubt, *_ = mask_statistics(**inputs, lower=-1, middle=0, upper=1).T
    assert (in_doubt == 0).all()
    for area, threshold in ((lower, -1), (middle, 0), (upper, 1)):
        np.testing.assert_array_equal(area, (image > threshold).sum(axis=(1, 2)))


def test_by_hand():
    logits = np.array([[[-3.0, 0.5, -0.5], [2.0, -2.0, 0.0]]])
    #                     > -1: 4   > 0: 2   > 1: 1   0.0 is not in doubt: nothing was rounded
    np.testing.assert_array_equal(unscaled(logits), [[4, 2, 1, 0, 0, 0, 1, 1]])


def test_an_empty_mask_has_no_box_and_a_full_one_all():
    np.testing.assert_array_equal(unscaled(np.full((1, 3, 5), -9.0)), [[0] * 8])
    np.testing.assert_array_equal(unscaled(np.full((1, 3, 5), 9.0)), [[15, 15, 15, 0, 0, 0, 4, 2]])


@pytest.mark.parametrize("threshold", [-1.0, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_pixel_next_to_a_threshold_is_in_doubt_and_one_further_off_is_not(threshold, dtype):
    unit = np.finfo(dtype).eps / 2
    for distance, doubts in ((10, 1), (30, 0)):
        logits = np.full((1, 1, 2), 9, dtype)
        logits[0, 0, 1] = threshold + distance * unit
        axes = ((first, weights.astype(dtype)) for first, weights in (plain(1), plain(2)))
        statistics = mask_statistics(logits, *next(axes), *next(axes), *THRESHOLDS)
        assert statistics[0, 3] == doubts


def test_what_is_no_number_is_in_doubt():
    logits = normal(0, 1, 4, 4) + 5
    logits[0, 1, 2], logits[0, 3, 3] = np.nan, np.inf
    assert unscaled(logits)[0, 3] == 2


def test_two_ways_to_round_agree_where_nothing_is_in_doubt():
    """Columns first in float32, as defined, and both axes at once in float64, on logits that meet the thresholds."""
    rng, doubtful, certain = np.random.default_rng(3), 0, 0
    for _ in range(40):
        inputs = mask_inputs((1, 7, 6, 23, 31), rng)
        inputs["low_res"] = (inputs["low_res"] * 2).round() / 3
        single = {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in inputs.items()}
        wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in single.items()}
        thresholds = {"lower": -1 / 3, "middle": np.float32(1 / 3), "upper": 1.0}
        found = mask_statistics(**single, **thresholds)[0]
        exact = mask_statistics(**wide, **thresholds)[0]
        doubtful, certain = doubtful + (found[3] > 0), certain + (found[3] == 0)
        assert (abs(found[:3] - exact[:3]) <= found[3]).all()
        if found[3] == 0:
            np.testing.assert_array_equal(found, exact)
    assert doubtful and certain

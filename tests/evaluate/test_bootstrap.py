"""The bootstrap resamples images, is repeatable, and its intervals are as wide as they should be."""

import pytest
import torch

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.statistics import weighted_mean


def test_masks_of_one_image_share_their_weight():
    image_index = torch.tensor([0, 0, 5, 5, 5, 9])
    weights = image_weights(image_index, resamples=50)
    assert weights.shape == (51, 6)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(dim=1) == 3).all()
    assert len(weights.unique(dim=0)) > 5


def test_the_same_seed_gives_the_same_interval():
    values = torch.rand(40, generator=torch.Generator().manual_seed(0)).double()
    weights = image_weights(torch.arange(40))
    first, again = (
        estimate(lambda w: weighted_mean(values, w), image_weights(torch.arange(40))) for _ in range(2)
    )
    assert first == again
    assert first != estimate(lambda w: weighted_mean(values, w), image_weights(torch.arange(40), seed=1))
    assert first.value == pytest.approx(values.mean().item())
    assert weights.shape[0] == 1001


def test_interval_of_a_mean_matches_its_standard_error():
    values = torch.randn(400, generator=torch.Generator().manual_seed(1)).double()
    found = estimate(lambda w: weighted_mean(values, w), image_weights(torch.arange(400)))
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_copies_of_an_image_s_masks_do_not_narrow_the_interval():
    values = torch.randn(50, generator=torch.Generator().manual_seed(2)).double()
    once = estimate(lambda w: weighted_mean(values, w), image_weights(torch.arange(50)))
    copied = values.repeat_interleave(20)
    often = estimate(
        lambda w: weighted_mean(copied, w), image_weights(torch.arange(50).repeat_interleave(20))
    )
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=1e-6)


def test_one_image_has_no_spread():
    values = torch.tensor([0.25, 0.75]).double()
    found = estimate(lambda w: weighted_mean(values, w), image_weights(torch.tensor([3, 3])))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert (str(found), found.signed(), found.plus_minus()) == ("0.500", "+0.500", "0.500")


def test_texts_of_an_interval():
    found = Estimate(0.25, 0.125, 0.3125)
    assert str(found) == "0.250 [0.125, 0.312]" and found.plus_minus() == "0.250 ± 0.094"
    assert Estimate(0.25, -0.125, 0.5).signed() == "+0.250 [-0.125, +0.500]"
    assert str(Estimate(0.25, 0.25, 0.25 + 1e-12)) == "0.250"

"""Weighted statistics against scipy and against plain copies of the values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.evaluate.statistics import (
    calibration_bins,
    expected_calibration_error,
    pair_agreement,
    weighted_mean,
    weighted_ranks,
    weighted_spearman,
)

stats = pytest.importorskip("scipy.stats")

# Steps of 0.1 make ties frequent.
samples = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), min_size=4, max_size=30
).filter(lambda rows: len({x for x, _, w in rows if w}) > 1 and len({y for _, y, w in rows if w}) > 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(samples)
def test_a_weight_is_a_number_of_copies(rows):
    x, y, weights = torch.tensor(rows, dtype=torch.float64).T
    x, y = x / 10, y / 10
    copies_x, copies_y = (values.repeat_interleave(weights.long()) for values in (x, y))
    weights = torch.stack([weights, torch.ones_like(weights)])
    assert weighted_mean(x, weights)[0].item() == pytest.approx(copies_x.mean().item())
    spearman = stats.spearmanr(copies_x.numpy(), copies_y.numpy()).statistic
    assert weighted_spearman(x, y, weights)[0].item() == pytest.approx(spearman, abs=1e-9)
    ones = torch.ones(1, len(copies_x), dtype=torch.float64)
    error = expected_calibration_error(copies_x, copies_y, ones).item()
    assert expected_calibration_error(x, y, weights)[0].item() == pytest.approx(error)


def test_spearman_of_a_constant_is_zero():
    assert weighted_spearman(torch.ones(5), torch.arange(5.0), torch.ones(1, 5)).tolist() == [0]


def test_pair_agreement_by_hand():
    true = torch.tensor([[0.1, 0.5, 0.9]] * 4)
    predicted = torch.tensor([[1.0, 2, 3], [3, 2, 1], [1, 3, 2], [1, 1, 1]])
    torch.testing.assert_close(pair_agreement(predicted, true), torch.tensor([1, 0, 2 / 3, 0.5]))


def test_calibration_by_hand():
    predicted = torch.tensor([0.12, 0.18, 0.93, 1.4]).double()
    true = torch.tensor([0.2, 0.3, 0.8, 0.6]).double()
    weights = torch.ones(1, 4, dtype=torch.float64)
    count, predicted_sum, true_sum = calibration_bins(predicted, true, weights)
    assert count[0].tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert predicted_sum[0, 1].item() == pytest.approx(0.3)
    assert true_sum[0, 9].item() == pytest.approx(1.4)
    expected = ((0.5 - 0.3) + (0.93 + 1.4 - 1.4)) / 4
    assert expected_calibration_error(predicted, true, weights).item() == pytest.approx(expected)


def test_ranks_count_from_one_and_ties_share_theirs():
    ranks = weighted_ranks(torch.tensor([0.3, 0.1, 0.1]), torch.tensor([[1.0, 1, 1], [2, 3, 1]]))
    assert ranks.tolist() == [[3, 1.5, 1.5], [5.5, 2.5, 2.5]]


def test_a_prediction_below_zero_counts_in_the_first_bin():
    predicted, true = torch.tensor([-0.3, 0.05]), torch.tensor([0.2, 0.25])
    count, predicted_sum, _ = calibration_bins(predicted, true, torch.ones(1, 2))
    assert count[0].tolist() == [2] + [0] * 9 and predicted_sum[0, 0].item() == pytest.approx(-0.25)

"""The intervals of E7 hold what differs between seeds, and what differs between images."""

import pytest
import torch

from minisam.experiments.e07_mae import mean_over_runs
from minisam.experiments.prompted_targets import mean_over_images


def test_seeds_that_differ_widen_the_interval_to_their_ends():
    values = torch.tensor([0.1, 0.2, 0.6])[:, None].expand(3, 40)
    found = mean_over_runs(values, torch.arange(40) // 4)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.1, 0.6))


def test_equal_seeds_leave_the_interval_of_the_images():
    values, image = torch.rand(40, generator=torch.Generator().manual_seed(0)), torch.arange(40) // 4
    found, of_one = mean_over_runs(values.expand(3, 40), image), mean_over_images(values, image)
    assert (found.value, found.low, found.high) == pytest.approx((of_one.value, of_one.low, of_one.high))
    assert found.low < found.value < found.high

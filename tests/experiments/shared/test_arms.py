"""Arms are compared target by target; images and seeds are resampled."""

import pytest
import torch

from minisam.evaluate.statistics import weighted_mean
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import decoder_training
from minisam.experiments.shared.arms import Arm, arm_weights, difference, mean_of_arm, statistic_of_arm
from minisam.experiments.shared.decoder_training import DecoderRecipe
from minisam.train.losses import segmentation_loss

IMAGE = torch.tensor([0, 0, 1, 2, 2, 2])


def test_every_seed_counts_alike_and_a_target_as_often_as_its_image():
    weights = arm_weights(IMAGE, 3).unflatten(1, (3, 6))
    assert weights[0].eq(1).all()
    assert weights[..., 3].equal(weights[..., 5]) and weights[..., 0].equal(weights[..., 1])
    per_image = weights[..., [0, 2, 3]]
    assert per_image.sum(dim=(1, 2)).eq(9).all()  # three images drawn, for three seeds drawn
    assert weights.std(dim=0).gt(0).all()


def test_one_seed_is_the_bootstrap_over_images():
    values = torch.arange(6.0)
    found = mean_of_arm([values], IMAGE)
    assert found.value == pytest.approx(2.5)
    assert 0 <= found.low < 2.5 < found.high <= 4.5


def test_a_constant_difference_has_no_spread_whatever_the_arms_do():
    generator = torch.Generator().manual_seed(0)
    runs = [torch.rand(6, generator=generator) for _ in range(3)]
    found = difference([run + 0.25 for run in runs], runs, IMAGE)
    assert (found.low, found.value, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_seeds_that_disagree_widen_the_interval():
    zero = [torch.zeros(6)] * 3
    found = difference([torch.full((6,), shift) for shift in (-0.1, 0.0, 0.1)], zero, IMAGE)
    assert found.value == pytest.approx(0, abs=1e-6) and found.low < -0.05 and found.high > 0.05


def test_a_statistic_of_runs_is_their_mean_and_resampled_as_a_mean_is():
    runs = [torch.rand(6, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    found = statistic_of_arm(lambda run, weights: weighted_mean(run.double(), weights), runs, IMAGE)
    expected = mean_of_arm(runs, IMAGE)
    for end in ("value", "low", "high"):
        assert getattr(found, end) == pytest.approx(getattr(expected, end))
    assert found.low < found.value < found.high


def test_an_arm_is_trained_by_its_loss_the_usual_one_unless_told(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(decoder_training, "train_decoder_", lambda *arguments: given.append(arguments[-1]))

    def other(*_):
        raise AssertionError

    for name, losses in (("usual", ()), ("other", (other,))):
        Arm(name, lambda sam: None, DecoderRecipe(steps=1), *losses).trained(Settings.short(tmp_path), 0)
    assert given == [segmentation_loss, other]

import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.train.average import WeightAverage


def nano():
    return build_from_config(CONFIGS["nano"])


def test_the_average_is_the_sum_that_the_formula_says():
    sam = nano()
    average, parameter = WeightAverage(sam, decay=0.5), next(sam.parameters())
    expected = parameter.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            parameter += 1.0
        average.update(sam, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * parameter.detach()
    name = next(name for name, value in sam.named_parameters() if value is parameter)
    torch.testing.assert_close(average.values[name], expected)


def test_the_averaged_network_is_another_one_in_evaluation_mode():
    sam = nano().train()
    average = WeightAverage(sam, decay=0.9)
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.zero_()
    copy = average.averaged(sam)
    assert sam.training and not copy.training
    assert any(value.abs().sum() > 0 for value in copy.parameters())
    assert all(value.abs().sum() == 0 for value in sam.parameters())


def test_what_was_saved_is_gone_on_with():
    sam = nano()
    average, resumed = WeightAverage(sam, 0.9), WeightAverage(nano(), 0.9)
    resumed.load(average.values)
    for one in (average, resumed):
        one.update(sam, 3)
    assert all(torch.equal(average.values[name], resumed.values[name]) for name in average.values)
    saved = {name: value.clone() for name, value in average.values.items()}
    resumed.load(saved)
    resumed.update(nano(), 3)
    assert all(torch.equal(saved[name], average.values[name]) for name in saved)  # the state stays as it was
    with pytest.raises(KeyError):
        resumed.load({})
        resumed.update(sam, 4)

"""What is true of softmax alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels.launch import INTERPRETED
from minisam_kernels.softmax import LAUNCHES, WIDEST, launch_for, softmax

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def test_minus_infinity_weighs_nothing_and_a_row_of_nothing_else_is_nan():
    x = torch.tensor([[0.0, -math.inf, 0.0], [-math.inf] * 3, [1.0, 1.0, 1.0]], device=DEVICE)
    with np.errstate(invalid="ignore"):
        y = softmax(x).cpu()
    assert y[0].tolist() == [0.5, 0.0, 0.5]
    assert y[1].isnan().all()
    torch.testing.assert_close(y[2], torch.full((3,), 1 / 3))


def test_a_row_takes_the_narrowest_launch_that_holds_it():
    for launch in LAUNCHES.values():
        assert LAUNCHES[launch_for(launch.block_k)] == launch
    assert launch_for(1) == "narrow" and launch_for(257) == "medium" and launch_for(2049) == "wide"


@pytest.mark.parametrize("shape", [(), (2, WIDEST + 1)])
def test_what_is_no_row_or_too_wide_is_refused(shape):
    with pytest.raises(ValueError, match=r"use torch\.softmax for wider rows"):
        softmax(torch.zeros(shape, device=DEVICE))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (2, 0, 4)])
def test_nothing_gives_nothing(shape):
    x = torch.zeros(shape, device=DEVICE, requires_grad=True)
    y = softmax(x)
    assert y.shape == shape
    assert torch.autograd.grad(y.sum(), x)[0].shape == shape


def test_any_number_of_axes():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    torch.testing.assert_close(softmax(x, 0.3), torch.softmax(0.3 * x, dim=-1))
    torch.testing.assert_close(softmax(x[0, 0, 0]), torch.softmax(x[0, 0, 0], dim=-1))

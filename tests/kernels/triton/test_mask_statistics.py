"""What is true of mask_statistics alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_operations import DEVICE

from minisam_kernels.cases import expected_counts, make_case
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.mask_statistics import COLUMNS, join_strips, launch_for, mask_statistics

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
SIZE = (1, 5, 6, 18, 20)


def case_with(change, size=SIZE):
    case = make_case("mask_statistics", "own", size)
    change(case.inputs["low_res"])
    return case


def statistics_of(case, **thresholds):
    found = mask_statistics(**case.tensors(torch.float32, DEVICE), **(case.constants | thresholds))
    return dict(zip(COLUMNS, found[0].tolist(), strict=True))


@pytest.mark.parametrize(("logit", "infinite"), [(20.0, -np.inf), (20.0, 20.0), (-20.0, -20.0)])
def test_what_is_no_number_is_in_doubt_and_never_decided_by_its_tile(logit, infinite):
    def spoil(low_res):
        low_res[...] = logit
        low_res[0, 2, 3], low_res[0, 0, 0] = np.nan, infinite

    case = case_with(spoil)
    with np.errstate(all="ignore"):
        wanted = expected_counts(case, torch.float32)[0].tolist()
        found = statistics_of(case)
    assert list(found.values()) == wanted and found["in_doubt"] > 0


def test_thresholds_in_any_order_and_equal_ones():
    case = case_with(lambda low_res: None)
    rising = statistics_of(case)
    falling = statistics_of(case, lower=1.0, upper=-1.0)
    assert (rising["lower"], rising["upper"]) == (falling["upper"], falling["lower"])
    assert rising["lower"] > rising["middle"] > rising["upper"] > 0
    equal = statistics_of(case, lower=0.0, upper=0.0)
    assert equal["lower"] == equal["middle"] == equal["upper"] == rising["middle"]


def test_strips_without_a_pixel_do_not_widen_the_box():
    strips = torch.tensor([[[4, 2, 1, 0, 3, 5, 6, 6], [0, 0, 0, 1, 9, 9, -1, -1]]], dtype=torch.int32)
    assert join_strips(strips).tolist() == [[4, 2, 1, 1, 3, 5, 6, 6]]
    assert join_strips(strips[:, 1:]).tolist() == [[0, 0, 0, 1, 0, 0, 0, 0]]


def test_the_launch_follows_the_size_of_the_image():
    assert launch_for(128, 5) == "small" and launch_for(5, 129) == "large"


def arguments(**changes):
    tensors = {
        "low_res": torch.zeros(1, 3, 4),
        "row_first": torch.zeros(5, dtype=torch.int32),
        "row_weights": torch.zeros(5, 2),
        "column_first": torch.zeros(6, dtype=torch.int32),
        "column_weights": torch.zeros(6, 2),
    }
    return {name: tensor.to(DEVICE) for name, tensor in (tensors | changes).items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_res": torch.zeros(3, 4)}, r"low_res must be \[P, h, w\], got \[3, 4\]"),
        ({"row_first": torch.zeros(5)}, "row_first must be int32 on .*, got torch.float32"),
        ({"column_first": torch.zeros(5, dtype=torch.int32)}, r"column_first must be \[6\], got \[5\]"),
        (
            {"row_weights": torch.zeros(5, 4)},
            r"row_weights must be one to 4 weights per pixel, of 3 logits, got \[5, 4\]",
        ),
        ({"column_weights": torch.zeros(6, 5)}, "column_weights must be one to 4 weights per pixel"),
        ({"column_weights": torch.zeros(0, 2)}, "column_weights must be one to 4 weights per pixel"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=f"mask_statistics: {message}"):
        mask_statistics(**arguments(**changes), lower=-1, middle=0, upper=1)

from __future__ import annotations

import numpy as np
import pytest
import torch
from strategies import normal

from minisam_kernels.lab.error_rule import GRADIENT_FACTOR, RMS_LIMIT, compare, rounding_floor

REFERENCE = normal(0, 5, 7, 11)
ROUNDED = torch.tensor(REFERENCE, dtype=torch.float32)


def compared(got, same_precision=ROUNDED, **options):
    return compare("out", got, REFERENCE, same_precision, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_rounded_reference_is_right(dtype):
    rounded = torch.tensor(REFERENCE, dtype=dtype)
    verdict = compared(rounded, rounded)
    assert verdict.ok and verdict.explain().startswith("out: right")


@pytest.mark.parametrize("got", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_wrong_and_named(got):
    out = ROUNDED.clone()
    out[3, 2, 8] = got
    verdict = compared(out)
    assert not verdict.ok and verdict.where == (3, 2, 8) and verdict.not_finite == 1
    assert "1 values are not finite" in verdict.explain() and "[3, 2, 8]" in verdict.explain()


def test_one_wrong_value_is_found_where_it_is():
    out = ROUNDED.clone()
    out[4, 6, 0] += 1e-4
    verdict = compared(out)
    assert not verdict.ok and verdict.where == (4, 6, 0) and verdict.error == pytest.approx(1e-4, rel=0.01)
    assert verdict.rms_ratio < RMS_LIMIT


def test_of_several_wrong_values_the_worst_and_the_first_are_named():
    out = ROUNDED.clone()
    out[1, 6, 2] += 1e-3
    out[4, 0, 0] += 1e-2
    verdict = compared(out)
    assert verdict.where == (4, 0, 0) and verdict.first == (1, 6, 2)
    first = f"the first at [1, 6, 2]: got {verdict.first_got:.6g}, wanted {REFERENCE[1, 6, 2]:.6g}"
    assert verdict.explain().startswith(f"out: wrong, {first}; the worst at [4, 0, 0]: got ")


def test_twice_torchs_error_is_allowed_and_three_times_is_for_gradients():
    error = 1e-3
    torchs = ROUNDED + error
    assert compared(ROUNDED + 1.9 * error, torchs).ok
    assert not compared(ROUNDED + 2.1 * error, torchs).ok
    assert compared(ROUNDED + 2.9 * error, torchs, factor=GRADIENT_FACTOR).ok
    assert not compared(ROUNDED + 3.1 * error, torchs, factor=GRADIENT_FACTOR).ok


def test_a_small_error_everywhere_is_found_where_torch_has_one_large_one():
    torchs = ROUNDED.clone()
    torchs[0, 0, 0] += 0.04
    verdict = compared(ROUNDED * 1.01, torchs)
    assert not verdict.ok and verdict.error <= verdict.allowed and verdict.rms_allowed == RMS_LIMIT


def test_where_torch_misses_the_second_rule_the_factor_counts():
    torchs = ROUNDED * 1.01
    assert compared(ROUNDED * 1.019, torchs).ok and compared(ROUNDED * 0.981, torchs).ok
    assert not compared(ROUNDED * 1.021, torchs).ok


def test_a_wrong_shape_is_wrong():
    verdict = compared(ROUNDED[:4])
    assert not verdict.ok and "has shape [4, 7, 11], wanted [5, 7, 11]" in verdict.explain()


def test_a_reference_of_zeros_allows_rounding_of_what_cancelled_and_no_more():
    zeros, same = np.zeros((2, 3)), torch.zeros(2, 3)
    assert compare("dq", same + 1e-7, zeros, same, magnitude=1.0).ok
    assert not compare("dq", same + 1e-7, zeros, same).ok
    assert not compare("dq", same + 1e-4, zeros, same, magnitude=1.0).ok


def test_the_floor_is_a_few_roundings():
    assert rounding_floor(np.array([4.0]), torch.float16) == pytest.approx(4 * 2**-10, rel=0.01)
    assert rounding_floor(np.array([4.0]), torch.float32) == pytest.approx(17 * 4 * 2**-23, rel=0.01)


def test_nothing_is_right():
    empty = torch.zeros(0, 3)
    assert compare("out", empty, np.zeros((0, 3)), empty).ok


def test_what_underflows_in_the_type_may_be_zero():
    tiny = np.full((2, 3), 1e-9)
    zeros = torch.zeros(2, 3, dtype=torch.float16)
    assert compare("dx", zeros, tiny, zeros).ok
    assert not compare("dx", zeros.float(), tiny, torch.tensor(tiny).float()).ok


def test_where_everything_cancels_torchs_error_alone_counts():
    nothing, torchs = np.full((2, 3), 1e-9), torch.ones(2, 3)
    assert compare("drel_w", 1.5 * torchs, nothing, torchs, magnitude=100.0).ok
    assert not compare("drel_w", 2.5 * torchs, nothing, torchs, magnitude=100.0).ok
    assert not compare("drel_w", 2.5 * torchs, nothing, torchs, magnitude=1e-3).ok

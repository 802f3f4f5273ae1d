"""The cases themselves: the dense formulas are the references, and the lists have what breaks kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from held_to_reference import assert_same_gradients, assert_same_values

from minisam_kernels.case_sizes import SIZES
from minisam_kernels.cases import (
    Case,
    cases,
    expected,
    expected_counts,
    gradients,
    make_case,
    output_gradient,
    reference,
)
from minisam_kernels.dense import OPERATIONS
from minisam_kernels.mask_cases import COUNTING

DIFFERENTIABLE = [operation for operation in SIZES if operation not in COUNTING]


def functions(case):
    return (
        lambda **tensors: OPERATIONS[case.operation](**tensors, **case.constants),
        lambda **arrays: reference(case.operation)(**arrays, **case.constants),
    )


@pytest.mark.parametrize("operation", DIFFERENTIABLE)
def test_the_dense_formula_is_the_reference(operation):
    for name, size in SIZES[operation].items():
        case = make_case(operation, name, size)
        assert_same_values(*functions(case), case.inputs)


@pytest.mark.parametrize("operation", COUNTING)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_the_dense_formula_counts_as_the_reference_does(operation, dtype):
    for case in cases(operation):
        case = case.rounded(dtype)
        out = OPERATIONS[operation](**case.tensors(dtype), **case.constants)
        wanted = expected_counts(case, dtype)
        assert out.dtype == torch.int32 and wanted.dtype == np.int32
        np.testing.assert_array_equal(out.numpy(), wanted)


@pytest.mark.parametrize("operation", DIFFERENTIABLE)
def test_gradients_are_the_references(operation):
    case = next(case for case in cases(operation) if "24" in case.name or case.name == "prime")
    assert_same_gradients(*functions(case), case.inputs, seed=0, directions=1)
    grad_out = output_gradient(case)
    by_name = gradients(case, grad_out)
    assert list(by_name) == list(case.inputs) and grad_out.shape == expected(case).shape
    last = list(case.inputs)[-1]
    step = 1e-6 * np.ones_like(case.inputs[last])
    ahead = Case(case.operation, case.name, {**case.inputs, last: case.inputs[last] + step}, case.constants)
    difference = ((expected(ahead) - expected(case)) * grad_out).sum() / 1e-6
    assert difference == pytest.approx(by_name[last].sum(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("operation", SIZES)
def test_cases_are_the_same_every_time_and_finite(operation):
    first, second = cases(operation), cases(operation)
    assert len({case.name for case in first}) == len(first)
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(one.inputs[name], other.inputs[name]) for name in one.inputs)
        assert all(np.isfinite(array).all() for array in one.inputs.values())
        assert np.isfinite(expected(one)).all()


@pytest.mark.parametrize("operation", sorted(set(DIFFERENTIABLE) - {"window_attention"}))
def test_one_case_has_other_numbers_than_sam_at_the_same_size(operation):
    """A kernel that takes D^-0.5 for its scale, or 1e-5 for eps, is wrong there."""
    other = cases(operation)[-1]
    twin = next(case for case in cases(operation) if other.name == f"other numbers, {case.name}")
    assert other.constants.keys() == twin.constants.keys() != set()
    assert all(other.constants[name] != number for name, number in twin.constants.items())
    assert abs(expected(other) - expected(replace(other, constants=twin.constants))).max() > 0.01


@pytest.mark.parametrize("operation", sorted(set(DIFFERENTIABLE) - {"softmax"}))
def test_head_dims_that_are_no_power_of_two_are_there(operation):
    place = -2 if operation == "window_attention" else -1
    assert {16, 24, 40, 80, 128} <= {size[place] for size in SIZES[operation].values()}


def test_rounded_inputs_are_what_the_type_holds():
    case = cases("attention")[1]
    rounded = case.rounded(torch.float16)
    for name, array in rounded.inputs.items():
        assert array.dtype == np.float64 and not np.array_equal(array, case.inputs[name])
        assert np.array_equal(array, array.astype(np.float16))

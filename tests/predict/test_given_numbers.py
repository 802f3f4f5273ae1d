"""Numbers in any type, layout and container become what NumPy and PyTorch compute with; anything else is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.errors import PromptError
from minisam.predict.given_numbers import as_numpy, check_finite, to_array, to_tensor

VALUES = [[0, 1, 2], [3, 4, 5]]
TYPES = ("?", "<i2", ">i2", ">i4", "<i8", ">u2", ">u8", "<f2", "<f4", ">f4", ">f8", "longdouble")


@pytest.mark.parametrize("kind", TYPES)
def test_an_array_of_any_type_and_byte_order_keeps_its_values(kind):
    array = np.array(VALUES).astype(kind)
    tensor = to_tensor(array, "x")
    assert tensor.tolist() == array.tolist() == to_array(array, "x").tolist()
    assert tensor.dtype.is_floating_point == (array.dtype.kind == "f")


@pytest.mark.parametrize(
    "array",
    [
        np.array(VALUES, order="F"),
        np.array(VALUES)[:, ::-1],
        np.array(VALUES).T,
        np.broadcast_to(1.5, (2, 3)),
    ],
)
def test_a_tensor_is_new_memory_in_any_layout(array):
    before = array.copy()
    tensor = to_tensor(array, "x")
    tensor += 1
    assert np.array_equal(array, before) and np.array_equal(tensor.numpy(), before + 1)


def test_a_tensor_stays_itself_and_lists_are_numbers():
    given = torch.ones(2)
    assert to_tensor(given, "x") is given
    assert to_tensor(VALUES, "x").tolist() == to_array(tuple(VALUES), "x").tolist() == VALUES
    assert to_array(np.array([1, 2.5], object), "x").tolist() == [1, 2.5]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8])
def test_tensors_become_arrays_of_types_that_numpy_has(kind):
    tensor = torch.tensor([1.0, 2.0]).to(kind).requires_grad_(kind.is_floating_point)
    array = to_array(tensor, "x")
    assert array.tolist() == [1, 2]
    assert array.dtype == (np.float32 if kind.itemsize == 2 else str(kind).removeprefix("torch."))
    assert as_numpy(tensor.detach()).dtype == array.dtype


@pytest.mark.parametrize(
    "wrong", ["text", None, [[1], [1, 2]], [1, "a"], np.array([1j]), object(), [10**400]]
)
def test_what_is_no_number_is_named(wrong):
    for read in (to_array, to_tensor):
        with pytest.raises(PromptError, match=r"^points must be an array of numbers$"):
            read(wrong, "points")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(value):
    check_finite(torch.tensor([1, 2]), "points")
    check_finite(torch.tensor([1.0, 2.0]), "points")
    with pytest.raises(PromptError, match=r"^points has values that are not finite"):
        check_finite(torch.tensor([1.0, value]), "points")

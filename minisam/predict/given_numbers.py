"""Numbers from a caller (NumPy arrays of any type and layout, tensors or lists) as one array or tensor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from minisam.errors import PromptError
from minisam.model.batched_prompts import is_finite


def to_array(values: object, name: str) -> NDArray:
    """An array of integers, floats or booleans; types that NumPy lacks become float32.

    Raises PromptError, with `name` in the message, if these are not numbers.
    """
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() and values.itemsize < 4 else values
        array = np.asarray(values)
        array = array.astype(np.float64) if array.dtype == object and values is not None else array
        if array.dtype.kind in "biuf":
            return array
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise PromptError(f"{name} must be an array of numbers")


def to_tensor(values: Tensor | ArrayLike, name: str) -> Tensor:
    """A tensor unchanged; anything else as a tensor in new memory.

    Raises PromptError, with `name` in the message, if these are not numbers.
    """
    if isinstance(values, Tensor):
        return values
    array = to_array(values, name)
    is_wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    own = array.astype(np.float64 if is_wide else array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(own)


def check_finite(tensor: Tensor, name: str) -> None:
    """Raises PromptError for NaN and infinity."""
    if not is_finite(tensor):
        raise PromptError(f"{name} has values that are not finite (NaN or infinity)")


def as_numpy(tensor: Tensor) -> NDArray:
    """On the CPU; half precision, of which NumPy has one type and few operations, becomes float32."""
    halved = tensor.dtype in (torch.bfloat16, torch.float16)
    return (tensor.float() if halved else tensor).cpu().numpy()

"""Holding a torch function to its NumPy reference: the values it gives, and the gradients it gives.

Values are compared in float64 and in float32; gradients with central differences of the reference,

    (L(a + h d) - L(a - h d)) / 2h  =  <dL/da, d>,      L = sum of the outputs, each times a random number

along random directions d, so that autograd is measured against the definition and not against itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from strategies import lay_out, normal
from torch import nn

Arrays = Mapping[str, np.ndarray]
STEPS = (1e-5, 1e-6, 1e-7)


def random_state(module: nn.Module, seed: int) -> dict[str, np.ndarray]:
    """Random values for every parameter and buffer, by state-dict key; matrices keep the size of vectors."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    fan_in = {name: max(1, int(np.prod(shape[1:]))) for name, shape in shapes.items()}
    return {
        name: normal(seed + i, *shapes[name], scale=fan_in[name] ** -0.5) for i, name in enumerate(shapes)
    }


def as_function(module: nn.Module, *inputs: str) -> Callable[..., Any]:
    """The module as a function of its named inputs and, by state-dict key, of its parameters and buffers."""

    def function(**tensors: torch.Tensor) -> Any:
        state = {name: tensor for name, tensor in tensors.items() if name not in inputs}
        return torch.func.functional_call(module, state, tuple(tensors[name] for name in inputs))

    return function


def assert_same_values(
    function: Callable[..., Any], reference: Callable[..., Any], arrays: Arrays, layout: str = "contiguous"
) -> None:
    expected = as_tuple(reference(**arrays))
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
        tensors = {name: lay_out(torch.tensor(array, dtype=dtype), layout) for name, array in arrays.items()}
        with torch.no_grad():
            outputs = as_tuple(function(**tensors))
        for output, wanted in zip(outputs, expected, strict=True):
            assert output.dtype == dtype and output.shape == wanted.shape
            size = np.abs(wanted).max(initial=1.0)
            np.testing.assert_allclose(output.numpy(), wanted, rtol=0, atol=tolerance * size)


def assert_same_gradients(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    arrays: Arrays,
    seed: int,
    directions: int = 2,
) -> None:
    """Every array in turn. A ReLU's kink may lie within the longest step from here, hardly within all."""
    weights = [normal(seed + i, *out.shape) for i, out in enumerate(as_tuple(reference(**arrays)))]

    def loss(**values: np.ndarray) -> float:
        return sum((out * w).sum() for out, w in zip(as_tuple(reference(**values)), weights, strict=True))

    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    outputs = as_tuple(function(**tensors))
    sum((out * torch.tensor(w)).sum() for out, w in zip(outputs, weights, strict=True)).backward()

    for name, array in arrays.items():
        gradient = tensors[name].grad
        gradient = np.zeros_like(array) if gradient is None else gradient.numpy()
        tolerance = 1e-6 * np.linalg.norm(gradient) + 1e-8 * max(1.0, abs(loss(**arrays)))
        for i in range(directions):
            direction = normal(seed + 100 + i, *array.shape)
            expected = (gradient * direction).sum()
            errors = []
            for step in STEPS:
                ahead = loss(**{**arrays, name: array + step * direction})
                behind = loss(**{**arrays, name: array - step * direction})
                errors.append(abs((ahead - behind) / (2 * step) - expected))
                if errors[-1] <= tolerance:
                    break
            assert min(errors) <= tolerance, (
                f"gradient of {name}: off by {min(errors):.2e}, {tolerance:.2e} allowed"
            )


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)

"""A call of a user's function, and its outcome: arrays and text, which another process can send.

Nothing is judged here. Arrays with names like "weights.norm.bias" are passed together, as one argument `weights`: a
dict with the key "norm.bias".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NUMBERS = "biufc"  # kinds of NumPy types that are numbers


@dataclass(frozen=True)
class Call:
    """Arrays in the order of the signature, then constants; floating-point arrays are passed in `dtype`.

    With `gradient`, the gradient of the output, the function is run a second time and differentiated. The functions of
    the modules `without` may not be called.
    """

    arrays: Mapping[str, np.ndarray]
    constants: Mapping[str, Any]
    framework: str = "numpy"  # or "torch" or "triton"
    dtype: str = "float32"
    gradient: np.ndarray | None = None
    twice: bool = False
    without: Sequence[str] = ()


@dataclass
class Outcome:
    """`error` says in one line why there is no value; `kind` is the type of the returned object.

    `value`, `again` and `gradients` are arrays; bfloat16, which NumPy lacks, is stored as float32, and `dtype` names
    the original type. `operations` names torch's operations, each once; `made_of` names the inputs that the result was
    computed from by them, and `met` pairs of inputs, as in "x, y * w", that were multiplied (operations.py).
    `stored_by_kernel` is False if the result has values that no interpreted kernel stored. `unset_lanes` and
    `tf32_products` count what as_on_a_gpu.py changed.
    """

    error: str = ""
    not_written: bool = False
    ended: bool = False
    kind: str = "NoneType"
    is_number: bool = False
    dtype: str = ""
    device: str = "cpu"
    launches: int = 0
    operations: list[str] = field(default_factory=list)
    operation_count: int = 0
    made_of: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    stored_by_kernel: bool = True
    unset_lanes: int = 0
    tf32_products: int = 0
    again_error: str = ""
    gradient_error: str = ""
    differentiable: bool = False
    value: np.ndarray | None = None
    again: np.ndarray | None = None
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    gradients: dict[str, np.ndarray] = field(default_factory=dict)


def arguments(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name -> arguments by name: {"x": x, "weights.a": a, "weights.b": b} -> x and weights."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        group, _, key = name.partition(".")
        if key:
            found.setdefault(group, {})[key] = array
        else:
            found[name] = array
    return found

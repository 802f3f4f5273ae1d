"""The hook through which an attention of the network gets a kernel.

The network depends only on PyTorch and does not know the kernels. `minisam/backend.py` does, and registers its choice
here. Without one, everything is computed by the torch code.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Kernel = Callable[..., Tensor]
Choice = Callable[[str, Tensor, int], Kernel | None]


def torch_alone(operation: str, tensor: Tensor, head_dim: int) -> Kernel | None:
    """No kernel for anything."""
    return None


_choose: Choice = torch_alone


def choose_kernels_by(choice: Choice) -> Choice:
    """Use `choice` from now on, in this process; returns the previous choice."""
    global _choose
    before, _choose = _choose, choice
    return before


def kernel_for(operation: str, tensor: Tensor, head_dim: int) -> Kernel | None:
    """The function for an operation on tensors like this one with heads of this width; None is the torch code."""
    return _choose(operation, tensor, head_dim)

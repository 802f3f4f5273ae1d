"""Where an attention of the network asks whether a kernel should do its work.

The network knows PyTorch and nothing else, so it does not know what a kernel is. `minisam/backend.py` does, and
leaves its choice here; without one, everything is computed by the torch code beside the question.
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
    """Let `choice` answer from now on, in this process; returns what answered before."""
    global _choose
    before, _choose = _choose, choice
    return before


def kernel_for(operation: str, tensor: Tensor, head_dim: int) -> Kernel | None:
    """What computes an operation on tensors like this one with heads of this width; None is the torch code."""
    return _choose(operation, tensor, head_dim)

"""Which of torch's operations a function performs, below autograd, however they are called."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

# fmt: off
LAYOUT = frozenset((
    "_local_scalar_dense", "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "as_strided", "cat",
    "clone", "constant_pad_nd", "copy", "copy_", "detach", "empty", "empty_like", "empty_strided", "expand",
    "fill", "fill_", "full", "full_like", "lift_fresh", "new_empty", "new_empty_strided", "new_full",
    "new_ones", "new_zeros", "ones", "ones_like", "permute", "select", "set_", "slice", "split",
    "split_with_sizes", "squeeze", "stack", "t", "transpose", "unbind", "unsqueeze", "view", "zero_",
    "zeros", "zeros_like",
))
# fmt: on
"""Those that make or move tensors, and compute nothing."""


class Operations(TorchDispatchMode):
    """Within this context, the names of all operations, such as "convolution", in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

"""Which of torch's operations a function performs, below autograd, however they are called; and on which inputs.

Every result is followed back to the inputs that it was computed from.  Not seen, and thus without inputs: numbers of
Python, arrays of NumPy, and the operations of another thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

# fmt: off
LAYOUT = frozenset((
    "_local_scalar_dense", "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "as_strided", "cat",
    "clone", "constant_pad_nd", "copy", "copy_", "copy_ into a part", "detach", "empty", "empty_like",
    "empty_strided", "expand",
    "fill", "fill_", "full", "full_like", "lift_fresh", "new_empty", "new_empty_strided", "new_full",
    "new_ones", "new_zeros", "ones", "ones_like", "permute", "select", "set_", "slice", "split",
    "split_with_sizes", "squeeze", "stack", "t", "transpose", "unbind", "unsqueeze", "view", "zero_",
    "zeros", "zeros_like",
))
# fmt: on
"""Those that make or move tensors, and compute nothing."""


ADDING = frozenset(("add", "add_", "sub", "sub_", "rsub"))
Origin = frozenset[str]


class Operations(TorchDispatchMode):
    """Within this context, the names of all operations, such as "convolution", in their order.

    A copy into a part of a tensor, as x[:, 1:] = y makes, is "copy_ into a part": the interpreter makes others itself.

    `met` has the pairs of inputs' names whose tensors were combined other than by adding: an operand that was computed
    from the first alone, and another one from the second alone.
    """

    def __init__(self, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names: list[str] = []
        self.met: set[tuple[Origin, Origin]] = set()
        self._origins = WeakTensorKeyDictionary()
        for name, tensor in inputs.items():
            self._origins[tensor] = frozenset([name])

    def made_of(self, tensor: Any) -> Origin:
        """The names of the inputs that a tensor was computed from."""
        found = self._origins.get(tensor) if isinstance(tensor, Tensor) else None
        return found or frozenset()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name == "copy_" and not args[0].is_contiguous():
            name = "copy_ into a part"
        self.names.append(name)
        result = func(*args, **(kwargs or {}))
        origins = [self.made_of(tensor) for tensor in tree_leaves((args, kwargs))]
        if name not in LAYOUT and name not in ADDING:
            self.met |= {
                (one, other) for one in origins for other in origins if one and other and one != other
            }
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._origins[tensor] = frozenset().union(*origins)
        return result

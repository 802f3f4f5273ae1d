"""A device that does not exist: its tensors lie in the CPU's memory, and say that they are elsewhere.

Like Apple's mps it has no float64, refuses operations with a tensor of the CPU, and has no `numpy()`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE_OF = Tensor.device.__get__  # type: ignore[attr-defined]
DATA_TO = Tensor.data.__set__  # type: ignore[attr-defined]
CPU = torch.device("cpu")
MOVES = (Tensor.to, Tensor.cpu, Tensor.copy_)
TAKES_CPU_INDICES = (Tensor.__getitem__, Tensor.__setitem__)


class MockDevice(TorchFunctionMode):
    """While it is entered, `name` is this device; `used` counts the operations on it."""

    def __init__(self, name: str = "mps") -> None:
        super().__init__()
        self.device, self.used = torch.device(name), 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == DEVICE_OF:
            return self.device if is_there(args[0]) else CPU
        if getattr(func, "__name__", "") == "_parse_to":
            return func(*args, **kwargs)
        given = tree_leaves((args, kwargs))
        named = [
            torch.device(one)
            for one in given
            if isinstance(one, torch.device) or one in ("cpu", str(self.device))
        ]
        args, kwargs = tree_map(self.on_cpu, (args, kwargs))
        tensors = [one for one in given if isinstance(one, Tensor)]
        there = [one for one in tensors if is_there(one)]
        if func == DATA_TO:
            func(*args)
            mark(args[0], is_there(args[1]))
            return None
        if there and func is Tensor.numpy:
            raise TypeError(f"can't convert {self.device} device type tensor to numpy")
        here = [one for one in tensors if not is_there(one) and one.dim() and one.numel()]
        if there and here and func not in (*MOVES, *TAKES_CPU_INDICES):
            raise RuntimeError(f"{func.__name__}: tensors on {self.device} and on the CPU")
        result = func(*args, **kwargs)
        on_device = self.device in named or (bool(there) and not named and func is not Tensor.cpu)
        if func is Tensor.copy_:
            on_device = is_there(args[0])
        if on_device:
            self.used += 1
        moved = func in (Tensor.to, Tensor.cpu) and is_there(args[0]) != on_device
        if moved and result is args[0] and not isinstance(result, torch.nn.Parameter):
            result = result.clone()  # the tensor that was moved stays where it was
        for one in tree_leaves(result):
            if isinstance(one, Tensor):
                if on_device and one.dtype == torch.float64:
                    raise TypeError(f"Cannot convert a tensor to float64 on {self.device}")
                mark(one, on_device)
        return result

    def on_cpu(self, value: Any) -> Any:
        is_this = isinstance(value, torch.device | str) and str(value) == str(self.device)
        return CPU if is_this else value


def is_there(tensor: Tensor) -> bool:
    return tensor.__dict__.get("is_there", False)


def mark(tensor: Tensor, on_device: bool) -> None:
    tensor.__dict__["is_there"] = on_device

"""Whether a module is unchanged since it was built, and fast code may replace calling it.

Fast code reads a layer's weight where the plain code calls the layer.  Both give the same result only if the weight
alone determines it. A wrapper around the layer (LoRA), a subclass, a hook, a parametrization, a forward assigned to
an instance or a class, or a quantised weight would be ignored silently.  Therefore only exact types without such
changes use the fast path; all others use the plain one.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

PLAIN_TENSORS = (nn.Parameter, Tensor, FakeTensor)
ELEMENTWISE = (nn.Identity, nn.GELU, nn.ReLU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid)
TORCH_LAYERS = (nn.Linear, nn.LayerNorm, nn.Dropout, nn.ModuleList, *ELEMENTWISE)


def is_untouched(module: nn.Module) -> bool:
    """Whether calling it runs its class's code with its own tensors, without hooks."""
    return has_nothing_attached(module) and not nn.modules.module._has_any_global_hook()


def has_nothing_attached(module: nn.Module) -> bool:
    """The same for this module only: global hooks (FlopCounterMode, profilers) do not count.

    They record the calls of the path that is used without them.
    """
    watched = (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
    return not (watched or "forward" in vars(module)) and all(
        type(tensor) in PLAIN_TENSORS for tensor in module._parameters.values() if tensor is not None
    )


def is_patched(kind: type[nn.Module]) -> bool:
    """Whether the forward of the class was replaced, for all its modules.

    Compiled or exported code was checked before.
    """
    if torch.compiler.is_compiling():
        return False
    owner = next(each for each in kind.__mro__ if "forward" in vars(each))
    if owner is nn.Module:
        return False
    forward = vars(owner)["forward"]
    written = getattr(forward, "__module__", None), getattr(forward, "__qualname__", None)
    return written != (owner.__module__, f"{owner.__qualname__}.forward") or hasattr(forward, "__wrapped__")


def is_affine(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether it computes exactly x Wᵀ + b; global hooks do not count."""
    return type(module) is nn.Linear and has_nothing_attached(module) and not is_patched(nn.Linear)


def is_as_built(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it and all modules in it have exactly these `kinds` or are torch's layers, unchanged."""
    found = {type(part) for part in module.modules()}
    as_written = found.issubset((*kinds, *TORCH_LAYERS)) and not any(is_patched(kind) for kind in found)
    return as_written and all(is_untouched(part) for part in module.modules())


def is_in_evaluation(module: nn.Module) -> bool:
    """Whether no module in it is in training mode, in which dropout may be active."""
    return not any(part.training for part in module.modules())

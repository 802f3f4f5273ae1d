"""Whether a module still is what it was built as, so that faster code may stand in for calling it.

Fast code reads a layer's weight where the plain code calls the layer.  Both give the same only as long as nothing but
that weight decides: a wrapper around the layer (LoRA), a subclass, a hook, a parametrization, a forward given to one
instance or to a class, a quantised weight would be passed over without a word.  Therefore exact types with nothing
attached take the fast road, and everything else the plain one.
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
    """Whether calling it does what its class says, with its own tensors, and no hook sees it."""
    return has_nothing_attached(module) and not nn.modules.module._has_any_global_hook()


def has_nothing_attached(module: nn.Module) -> bool:
    """The same of this module alone: hooks on all modules (FlopCounterMode, profilers) do not count.

    They see the calls of the road that is taken without them.
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
    """Whether another function was put in place of its forward, for all its modules at once.

    What is compiled or exported was looked at before.
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
    """Whether it computes x Wᵀ + b and nothing more; hooks on all modules do not count."""
    return type(module) is nn.Linear and has_nothing_attached(module) and not is_patched(nn.Linear)


def is_as_built(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it and all modules in it are exactly of these `kinds` or torch's layers, and untouched."""
    found = {type(part) for part in module.modules()}
    as_written = found.issubset((*kinds, *TORCH_LAYERS)) and not any(is_patched(kind) for kind in found)
    return as_written and all(is_untouched(part) for part in module.modules())


def is_in_evaluation(module: nn.Module) -> bool:
    """Whether no module in it is in training mode: dropout may have been left on."""
    return not any(part.training for part in module.modules())

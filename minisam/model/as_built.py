"""Whether a module still is what it was built as, so that faster code may stand in for calling it.

Fast code reads a layer's weight where the plain code calls the layer.  Both give the same only as long as nothing but
that weight decides: a wrapper around the layer (LoRA), a subclass, a hook, a parametrization, a forward given to one
instance, a quantised weight would be passed over without a word.  Therefore exact types with nothing attached take the
fast road, and everything else the plain one.
"""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

PLAIN_TENSORS = (nn.Parameter, Tensor, FakeTensor)
ELEMENTWISE = (nn.Identity, nn.GELU, nn.ReLU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid)
TORCH_LAYERS = (nn.Linear, nn.LayerNorm, nn.Dropout, nn.ModuleList, *ELEMENTWISE)


def is_untouched(module: nn.Module) -> bool:
    """Whether calling it does what its class says, with its own tensors, and nobody listens."""
    watched = (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or nn.modules.module._has_any_global_hook()
    )
    return not (watched or "forward" in vars(module)) and all(
        type(tensor) in PLAIN_TENSORS for tensor in module._parameters.values() if tensor is not None
    )


def is_linear(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether it is nn.Linear, that and nothing more."""
    return type(module) is nn.Linear and is_untouched(module)


def is_as_built(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it and all modules in it are exactly of these `kinds` or torch's layers, and untouched."""
    return all(type(part) in (*kinds, *TORCH_LAYERS) and is_untouched(part) for part in module.modules())


def is_in_evaluation(module: nn.Module) -> bool:
    """Whether no module in it is in training mode: dropout may have been left on."""
    return not any(part.training for part in module.modules())

"""Whether `load_checkpoint` could rebuild a network from its saved tensors: no module is wrapped or replaced."""

from __future__ import annotations

from typing import Any

from torch import nn

from minisam.checkpoint.geometry import Shapes, build_without_memory
from minisam.checkpoint.identify import difference_of
from minisam.checkpoint.prefixes import without_wrappers
from minisam.config import SamConfig
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.model.drop_path import DropPath

OF_TRAINING_ALONE = (nn.Dropout, DropPath)
SETTING = (bool, int, float, str, tuple)
OF_USE = {"training", "img_size", "input_image_size", "image_embedding_size", "dropout"}
"""Attributes that no weight depends on: inputs.py stores the image size, and dropout is only for training."""
OWN_CODE = "save sam.state_dict() with torch.save, and load it into a network that your code builds"
REMEDY = "merge it into the network first (peft: merge_and_unload), or save sam.state_dict() with torch.save"


def unwrapped(network: Any) -> Sam:
    """The Sam inside the wrappers of torch.compile, DataParallel and DistributedDataParallel."""
    while not isinstance(network, Sam):
        inner = getattr(network, "_orig_mod", None) or getattr(network, "module", None)
        if not isinstance(inner, nn.Module):
            raise CheckpointError(f"save_checkpoint takes a Sam, got a {type(network).__name__}")
        network = inner
    return network


def modules_by_name(sam: Sam) -> dict[str, nn.Module]:
    """Every module under the network's own names; for compiled or wrapped parts, the module inside."""
    found: dict[str, nn.Module] = {}
    for name, module in sam.named_modules():
        own = without_wrappers(name)
        if own not in found or type(found[own]).__module__.startswith("torch."):
            found[own] = module
    return found


def differing_setting(module: nn.Module, expected: nn.Module) -> str | None:
    """The first plain attribute, for example a norm's eps, that `load_checkpoint` would set differently."""
    own = vars(module)
    for name, value in vars(expected).items():
        is_setting = isinstance(value, SETTING) and name not in OF_USE and not name.startswith("_")
        if is_setting and name in own and own[name] != value:
            return f"{name} {own[name]!r} where load_checkpoint would build {value!r}"
    return None


def check_rebuildable(sam: Sam, config: SamConfig, shapes: Shapes) -> None:
    """`shapes` are those of the tensors to save, under the network's own names.

    Raises CheckpointError with the first layer or tensor that does not fit this geometry.
    """
    found = modules_by_name(sam)
    for name, expected in build_without_memory(config).named_modules():
        module, is_layer = found.get(name), next(expected.children(), None) is None
        if is_layer and isinstance(expected, OF_TRAINING_ALONE):
            continue
        same = type(module) is type(expected) if is_layer else isinstance(module, type(expected))
        if not same or (is_layer and "forward" in vars(module)):
            own = " with its own forward" if same else f", expected {type(expected).__name__}"
            raise CheckpointError(f"cannot be saved: {name} is {type(module).__name__}{own}; {REMEDY}")
        assert module is not None
        if difference := differing_setting(module, expected):
            raise CheckpointError(f"cannot be saved: {name or 'it'} has {difference}; {OWN_CODE}")
    if difference := difference_of(config, shapes):
        raise CheckpointError(f"cannot be saved: it {difference}; {REMEDY}")

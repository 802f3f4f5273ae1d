"""Every name of segment-anything's package, found by looking, with what has that name on both sides.

`a.b.C.method` and `a.b.function` come from the modules, `a.b.C().attribute` from a pair of equal objects.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from parity.oracle import SMALL
from torch import nn

from minisam.bench.original import import_original
from minisam.bench.twins import build_twins

MODULES = (
    "automatic_mask_generator",
    "build_sam",
    "modeling.common",
    "modeling.image_encoder",
    "modeling.mask_decoder",
    "modeling.prompt_encoder",
    "modeling.sam",
    "modeling.transformer",
    "predictor",
    "utils.amg",
    "utils.onnx",
    "utils.transforms",
)
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 72, 3), np.uint8)


def ours(module: str) -> Any:
    return importlib.import_module(f"minisam.segment_anything.{module}")


def theirs(module: str) -> Any:
    return import_original(module)


@cache
def sams() -> tuple[Any, Any]:
    """Our Sam and the original's, with the same weights."""
    return build_twins(SMALL, seed=4)


@cache
def predictors() -> tuple[Any, Any]:
    """A predictor for each, with the same image."""
    pair = [side("predictor").SamPredictor(sam) for side, sam in zip((ours, theirs), sams(), strict=True)]
    for predictor in pair:
        predictor.set_image(IMAGE)
    return pair[0], pair[1]


@cache
def objects() -> dict[str, tuple[Any, Any]]:
    """One object on each side for every class of the original."""
    pairs: dict[str, tuple[Any, Any]] = {"predictor.SamPredictor": predictors()}
    for module, name, arguments in (
        ("utils.transforms", "ResizeLongestSide", (SMALL.image_size,)),
        ("utils.amg", "MaskData", ()),
    ):
        pairs[f"{module}.{name}"] = tuple(getattr(side(module), name)(*arguments) for side in (ours, theirs))  # type: ignore[assignment]
    for module, name, arguments in (
        ("automatic_mask_generator", "SamAutomaticMaskGenerator", ()),
        ("utils.onnx", "SamOnnxModel", (True,)),
    ):
        pairs[f"{module}.{name}"] = tuple(  # type: ignore[assignment]
            getattr(side(module), name)(sam, *arguments)
            for side, sam in zip((ours, theirs), sams(), strict=True)
        )
    our_sam, their_sam = sams()
    for path, their_part in their_sam.named_modules():
        module, _, name = f"{type(their_part).__module__}.{type(their_part).__name__}".rpartition(".")
        key = f"{module.removeprefix('segment_anything.')}.{name}"
        if module.startswith("segment_anything") and key not in pairs:
            pairs[key] = our_sam.get_submodule(path), their_part
    return pairs


def own_definitions(module: str) -> Iterator[tuple[str, Any]]:
    """The functions and classes that a module of the original defines itself."""
    found = theirs(module)
    for name, value in vars(found).items():
        if getattr(value, "__module__", None) == found.__name__ and not name.startswith("__"):
            yield name, value


@cache
def surface() -> dict[str, tuple[Any, Any]]:
    """Name -> what has it on our side (None where nothing does) and on the original's."""
    names: dict[str, tuple[Any, Any]] = {}
    for module in MODULES:
        for name, value in own_definitions(module):
            key, our_value = f"{module}.{name}", getattr(ours(module), name, None)
            names[key] = our_value, value
            if inspect.isclass(value):
                for member, their_member in vars(value).items():
                    if not member.startswith("__") and member not in ("dump_patches",):
                        names[f"{key}.{member}"] = getattr(our_value, member, None), their_member
    for key, (our_object, their_object) in objects().items():
        for attribute in attributes(their_object):
            pair = getattr(our_object, attribute, None), getattr(their_object, attribute)
            names.setdefault(f"{key}.{attribute}", pair)
    return names


def attributes(thing: Any) -> list[str]:
    """The names that an object's constructor gave it; of a module also parameters, buffers and children."""
    own = [name for name in vars(thing) if name not in vars(nn.Module())]
    if isinstance(thing, nn.Module):
        own += [*thing._parameters, *thing._buffers, *thing._modules]
    return own


def same_value(ours: Any, theirs: Any) -> bool:
    """Whether two plain values or tensors are equal; objects are compared by what they do, elsewhere."""
    if isinstance(theirs, torch.Tensor):
        return (
            isinstance(ours, torch.Tensor)
            and ours.dtype == theirs.dtype
            and torch.allclose(ours, theirs, 1e-3, 1e-4)
        )
    if theirs is None or isinstance(theirs, bool | int | float | str | tuple):
        return type(ours) is type(theirs) and ours == theirs
    return ours is not None

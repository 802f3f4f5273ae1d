"""A small file of what an adaptation changed: its tensors, its method, and the hash of the base network.

safetensors header    {"minisam_adapter": {"method": {…}, "base": SHA-256 of the base's weights}}
tensors               those that were trained, under their names in the adapted network
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import nn

from minisam.adapt.methods import Adaptation, Method, adapt
from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.digest import weights_digest
from minisam.checkpoint.formats import first_not_finite, read_tensors
from minisam.errors import CheckpointError, MinisamError
from minisam.files import write_atomically
from minisam.model import Sam

KEY = "minisam_adapter"


def save_adapter(adapted: Adaptation, path: str | os.PathLike[str]) -> None:
    """Write only the trained tensors, without the base network.

    Raises:
        CheckpointError: a value is not finite; nothing is written then.
        OSError: see `minisam.files.write_atomically`.
    """
    tensors = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in adapted.sam.named_parameters()
        if parameter.requires_grad
    }
    if key := first_not_finite(tensors):
        raise CheckpointError(f"{key} holds values that are not finite; nothing was written")
    about = {"method": asdict(adapted.method), "base": adapted.base}
    content = to_safetensors(tensors, {KEY: json.dumps(about)})
    write_atomically(path, lambda file: file.write(content))


def load_adapter(sam: Sam, path: str | os.PathLike[str]) -> Adaptation:
    """Adapt `sam`, in place, with the file's method and weights.

    Raises CheckpointError, and leaves `sam` unchanged, if the file is damaged, holds no adaptation, or one of another
    base.
    """
    name = os.fsdecode(path)
    try:
        tensors, header = read_tensors(path)
        method, base = about_from_json(header.get(KEY))
        found = weights_digest(sam)
        if found != base:
            raise CheckpointError(
                f"adapts other weights (SHA-256 {base[:12]}…), not these ({found[:12]}…); load the base that it "
                "was trained on"
            )
        check_tensors(sam, method, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    adapted = adapt(sam, method)
    parameters = dict(sam.named_parameters())
    with torch.no_grad():
        for key, tensor in tensors.items():
            parameters[key].copy_(tensor)
    return adapted


def about_from_json(text: str | None) -> tuple[Method, str]:
    """The method and the base's hash; raises CheckpointError if the header was not written by `save_adapter`."""
    if text is None:
        raise CheckpointError("holds no adaptation; a whole network is loaded by load_checkpoint")
    try:
        about: dict[str, Any] = json.loads(text)
        base = about["base"]
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in about["method"].items()
        }
        method = Method(**{field.name: given[field.name] for field in fields(Method)})
        if not isinstance(base, str) or len(given) != len(fields(Method)):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MinisamError):
        raise CheckpointError("has a damaged header; save the adaptation again") from None
    return method, base


def check_tensors(sam: Sam, method: Method, tensors: dict[str, torch.Tensor]) -> None:
    """Raises CheckpointError if these are not the tensors that `method` trains in a network like `sam`."""
    like = copy_without_memory(sam)
    try:
        with torch.device("meta"):
            wanted = {name: like.get_parameter(name).shape for name in method.apply(like)}
    except (MinisamError, ValueError, TypeError) as error:
        raise CheckpointError(f"needs parts that this network does not have ({error})") from None
    if wrong := sorted(wanted.keys() ^ tensors.keys()):
        raise CheckpointError(f"is damaged: {wrong[0]} is {'missing' if wrong[0] in wanted else 'too much'}")
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise CheckpointError(f"is damaged: {name} is {list(tensors[name].shape)}, not {list(shape)}")
    if key := first_not_finite(tensors):
        raise CheckpointError(f"is damaged: {key} holds values that are not finite")


def copy_without_memory(sam: Sam) -> Sam:
    """A network of the same parts, also those of an earlier adaptation, with weights on the device `meta`."""
    parameters: dict[int, object] = {
        id(one): nn.Parameter(one.detach().to("meta"), one.requires_grad) for one in sam.parameters()
    }
    return copy.deepcopy(sam, parameters | {id(one): one.to("meta") for one in sam.buffers()})

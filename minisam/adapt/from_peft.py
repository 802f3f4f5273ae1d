"""A LoRA that the library peft wrote, or `save_for_peft`: the same function by updates of our layers.

A [R, in], B [out, R] of the fused projection of q, k and v
    -> updates of q and v of rank R / 2, if B has the blocks that minisam/adapt/peft_files.py describes
    -> otherwise updates of q, k and v, all with the same A, and each with its rows of B
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minisam.adapt.lora import QKV, LoraLinear, encoder_layers
from minisam.adapt.methods import Adaptation, Method, adapt
from minisam.adapt.peft_files import CONFIG, DECODER, PREFIX, WEIGHTS
from minisam.checkpoint.formats import first_not_finite, read_tensors
from minisam.errors import CheckpointError, DatasetError
from minisam.json_files import read_json
from minisam.model import Sam

FUSED = "attn.qkv"
BLOCKS = ((0, 2), (0, 1), (1, 2), (0,), (1,), (2,), (0, 1, 2))
"""The parts of q, k and v, 0 to 2, that may be adapted, the most usual first."""
OTHER_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of peft's init_lora_weights that change the base network's weights before training."""

Update = tuple[Tensor, Tensor]
"""A [n, r, in] and B [n, d, r] of the n adapted parts of a layer."""


def load_from_peft(sam: Sam, folder: str | os.PathLike[str]) -> Adaptation:
    """Adapt `sam`, in place, with a LoRA that peft or `save_for_peft` wrote.

    Raises CheckpointError, and leaves `sam` unchanged, if files are missing or damaged, or if they adapt layers that
    `add_lora` does not: it knows q, k, v, proj and mlp of the image encoder's blocks.
    """
    folder = Path(folder)
    try:
        config = read_json(folder / CONFIG)
        tensors, _ = read_tensors(folder / WEIGHTS)
    except DatasetError as error:
        raise CheckpointError(f"{error}; give a folder that peft has written") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder / CONFIG}: not the settings of a LoRA")
    first = str(config.get("init_lora_weights")).lower()
    if first.startswith(OTHER_BASE):
        raise CheckpointError(
            f"{folder / CONFIG}: {first} changes the base network too; save it by peft's save_pretrained with "
            "path_initial_model_for_weight_conversion"
        )
    try:
        layers, others = by_layer(tensors)
        scale = common_scale(config, layers)
        on, updates = separated(sam, layers)
        method = method_of(sam, on, updates, others, scale)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    adapted = adapt(sam, method)
    with torch.no_grad():
        for path, (a_nri, b_ndr) in updates.items():
            layer = sam.get_submodule(path)
            assert isinstance(layer, LoraLinear)
            layer.lora_a.copy_(a_nri)
            layer.lora_b.copy_(b_ndr)
        for name, value in others.items():
            sam.get_parameter(name).copy_(value)
    return adapted


def by_layer(tensors: dict[str, Tensor]) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """A and B of each layer, and the other tensors, by their names in the network."""
    if key := first_not_finite(tensors):
        raise CheckpointError(f"is damaged: {key} holds values that are not finite")
    names = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    ends = (".lora_A.weight", ".lora_B.weight")
    paths = sorted({name.removesuffix(end) for name in names for end in ends if name.endswith(end)})
    layers = {}
    for path in paths:
        a_ri, b_or = (names.pop(path + end, None) for end in ends)
        if a_ri is None or b_or is None or a_ri.dim() != 2 or b_or.dim() != 2 or len(a_ri) != b_or.shape[1]:
            raise CheckpointError(f"is damaged: A and B of {path} do not fit each other")
        layers[path] = a_ri, b_or
    if not layers:
        raise CheckpointError("adapts no layer")
    return layers, names


def common_scale(config: dict[str, Any], layers: dict[str, tuple[Tensor, Tensor]]) -> float:
    """lora_alpha / R, or / √R with rslora; the same for all layers.

    The keys of alpha_pattern are regular expressions for the ends of names; the first that matches counts.
    """
    try:
        patterns = {
            re.compile(rf"(.*\.)?({end})"): a for end, a in (config.get("alpha_pattern") or {}).items()
        }
        given = float(config["lora_alpha"])
        alphas = {
            path: float(next((alpha for ends, alpha in patterns.items() if ends.fullmatch(path)), given))
            for path in layers
        }
    except (KeyError, TypeError, ValueError, AttributeError, re.error):
        raise CheckpointError("has no lora_alpha, the factor of the updates") from None
    power = 0.5 if config.get("use_rslora") else 1.0
    scales = {round(alphas[path] / len(a_ri) ** power, 9) for path, (a_ri, _) in layers.items()}
    if len(scales) > 1:
        raise CheckpointError("scales its layers differently; one scale for all layers can be loaded")
    return scales.pop()


def separated(
    sam: Sam, layers: dict[str, tuple[Tensor, Tensor]]
) -> tuple[tuple[str, ...], dict[str, Update]]:
    """Which of q, k and v are adapted, the same ones in all blocks, and the updates of all layers."""
    for path, (a_ri, b_or) in layers.items():
        try:
            weight = sam.get_parameter(f"{path}.weight")
        except AttributeError:
            raise CheckpointError(f"does not fit this network: it has no layer {path}") from None
        if (b_or.shape[0], a_ri.shape[1]) != tuple(weight.shape):
            raise CheckpointError(f"does not fit this network: {path} is {list(weight.shape)}")
    fused_layers = {path: layer for path, layer in layers.items() if path.endswith(FUSED)}
    parts = next((p for p in BLOCKS if all(has_blocks(*one, p) for one in fused_layers.values())), None)
    updates = {path: (a_ri[None], b_or[None]) for path, (a_ri, b_or) in layers.items()}
    for path, (a_ri, b_or) in fused_layers.items():
        rows = b_or.chunk(3)
        if parts is None:
            updates[path] = a_ri.expand(3, -1, -1), torch.stack(rows)
        else:
            columns = torch.arange(len(a_ri)).chunk(len(parts))
            own = [rows[part][:, where] for part, where in zip(parts, columns, strict=True)]
            updates[path] = a_ri.unflatten(0, (len(parts), -1)), torch.stack(own)
    return tuple(QKV[part] for part in parts or (0, 1, 2)) if fused_layers else (), updates


def has_blocks(a_ri: Tensor, b_or: Tensor, parts: Sequence[int]) -> bool:
    """Whether B has, for the n `parts` in turn, one of n equal blocks of columns each, and is 0 elsewhere."""
    if len(a_ri) % len(parts):
        return False
    rest = b_or.clone()
    blocks = torch.arange(len(a_ri)).chunk(len(parts))
    for part, columns in zip(parts, blocks, strict=True):
        rest.chunk(3)[part][:, columns] = 0
    return not rest.any()


def method_of(
    sam: Sam, on: tuple[str, ...], updates: dict[str, Update], others: dict[str, Tensor], scale: float
) -> Method:
    """The Method that adapts exactly these layers of `sam`."""
    depth = len(sam.image_encoder.blocks)
    more = tuple(
        kind
        for kind, end in (("proj", "attn.proj"), ("mlp", "lin1"))
        if any(p.endswith(end) for p in updates)
    )
    blocks = tuple(
        b for b in range(depth) if any(p.startswith(f"image_encoder.blocks.{b}.") for p in updates)
    )
    wanted = {path for block in blocks for path, _ in encoder_layers(block, on + more)}
    if odd := sorted(wanted ^ updates.keys()):
        raise CheckpointError(f"adapts layers that add_lora does not adapt together: {odd[0]}")
    ranks = sorted({a_nri.shape[1] for a_nri, _ in updates.values()})
    if len(ranks) > 1:
        raise CheckpointError(f"has several ranks, {ranks}; one for all layers can be loaded")
    own = dict(sam.named_parameters())
    for name, value in others.items():
        if not name.startswith(DECODER) or name not in own or own[name].shape != value.shape:
            raise CheckpointError(f"does not fit this network: it has no {name} of {list(value.shape)}")
    return Method("lora", decoder=bool(others), blocks=blocks, rank=ranks[0], scale=scale, on=on + more)

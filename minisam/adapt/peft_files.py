"""LoRA in the files of the library peft: adapter_model.safetensors and adapter_config.json in a folder.

peft has one A [R, in] and one B [out, R] per layer, also for the fused projection of q, k and v.  Ours has an A and a
B for each adapted part of n; they are the same function with

    A = [A_q; A_v]    B = [[B_q, 0], [0, 0], [0, B_v]]    R = n · r    s = lora_alpha / R

A mask decoder that was trained as well is stored whole, as peft's modules_to_save. minisam/adapt/from_peft.py reads
these files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from minisam.adapt.lora import LoraLinear
from minisam.adapt.methods import Adaptation
from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import first_not_finite
from minisam.errors import CheckpointError
from minisam.files import write_atomically

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
DECODER = "mask_decoder."


def save_for_peft(adapted: Adaptation, folder: str | os.PathLike[str]) -> None:
    """Write a LoRA, and the mask decoder if it was trained, so that peft's PeftModel.from_pretrained can load it.

    Raises CheckpointError if the method is not LoRA, or a value is not finite; nothing is written then.
    """
    layers = {path: m for path, m in adapted.sam.named_modules() if isinstance(m, LoraLinear)}
    if adapted.method.name != "lora" or not layers:
        raise CheckpointError(
            f"peft's files hold LoRA, not the method {adapted.method.name!r}; use save_adapter"
        )
    tensors: dict[str, Tensor] = {}
    for path, layer in layers.items():
        a_ri, b_or = fused(layer)
        tensors[f"{PREFIX}{path}.lora_A.weight"] = a_ri
        tensors[f"{PREFIX}{path}.lora_B.weight"] = b_or
    decoder = adapted.method.decoder
    if decoder:
        for name, value in adapted.sam.mask_decoder.state_dict().items():
            tensors[f"{PREFIX}{DECODER}{name}"] = value.detach().cpu().contiguous()
    if key := first_not_finite(tensors):
        raise CheckpointError(f"{key} holds values that are not finite; nothing was written")
    ranks = {path: layer.rank * len(layer.parts) for path, layer in layers.items()}
    scales = {path: layer.scale * ranks[path] for path, layer in layers.items()}
    first = next(iter(layers))
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": ranks[first],
        "lora_alpha": scales[first],
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "fan_in_fan_out": False,
        "target_modules": sorted(layers),
        "rank_pattern": {path: rank for path, rank in ranks.items() if rank != ranks[first]},
        "alpha_pattern": {path: scale for path, scale in scales.items() if scale != scales[first]},
        "modules_to_save": [DECODER.rstrip(".")] if decoder else None,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content, text = to_safetensors(tensors, {"format": "pt"}), json.dumps(config, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda file: file.write(text.encode()))
    write_atomically(folder / WEIGHTS, lambda file: file.write(content))


def fused(layer: LoraLinear) -> tuple[Tensor, Tensor]:
    """A [n·r, in] and B [out, n·r] of the whole layer."""
    rows = layer.out_features // layer.out_of
    b_or = torch.zeros(layer.out_features, layer.rank * len(layer.parts), dtype=layer.lora_b.dtype)
    for place, (part, b_dr) in enumerate(zip(layer.parts, layer.lora_b.detach().cpu(), strict=True)):
        b_or[part * rows : (part + 1) * rows, place * layer.rank : (place + 1) * layer.rank] = b_dr
    return layer.lora_a.detach().cpu().flatten(0, 1).contiguous(), b_or

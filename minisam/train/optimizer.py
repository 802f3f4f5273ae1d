"""AdamW with layer-wise learning-rate decay, linear warm-up and step decay (SAM section A; ViTDet).

    lr(parameter, step) = base · decay^(depth + 1 − layer) · warm-up(step) · 0.1^(milestones passed)

Layer 0 is the patch embedding with the absolute positions, i + 1 is block i, and depth + 1 is everything else.
"""

from __future__ import annotations

import re
from collections import defaultdict

from torch import nn, optim


def build_optimizer(
    model: nn.Module, lr: float, weight_decay: float, layer_decay: float, depth: int
) -> optim.AdamW:
    """AdamW over a Sam; biases, norms, embeddings and position tables have no weight decay.

    Each group keeps its own undecayed rate as `base_lr`, which `set_learning_rate` reads.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[layer_of(name, depth), has_weight_decay(name, parameter)].append(parameter)
    return optim.AdamW(
        [
            {
                "params": parameters,
                "base_lr": lr * layer_decay ** (depth + 1 - layer),
                "weight_decay": weight_decay if decayed else 0.0,
            }
            for (layer, decayed), parameters in groups.items()
        ],
        lr=lr,
        betas=(0.9, 0.999),
    )


def layer_of(name: str, depth: int) -> int:
    """The layer number of a parameter of Sam, 0 … depth + 1."""
    if name.startswith(("image_encoder.patch_embed", "image_encoder.pos_embed")):
        return 0
    block = re.match(r"image_encoder\.blocks\.(\d+)\.", name)
    return int(block.group(1)) + 1 if block else depth + 1


def has_weight_decay(name: str, parameter: nn.Parameter) -> bool:
    """Matrices and kernels decay; vectors, tokens and position tables do not."""
    is_table = any(
        word in name for word in ("pos_embed", "rel_pos", "_token", "point_embed", "_a_point", "no_mask")
    )
    return parameter.dim() > 1 and not is_table


def set_learning_rate(
    optimizer: optim.Optimizer, step: int, steps: int, warmup: int, milestones: tuple[float, ...]
) -> float:
    """Set every group's rate for `step` of `steps`; returns the factor.  Milestones are shares of `steps`."""
    factor = min(1.0, (step + 1) / max(1, warmup))
    for milestone in milestones:
        if step >= milestone * steps:
            factor *= 0.1
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return factor

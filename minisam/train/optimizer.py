"""The optimiser: layer-wise learning-rate decay, linear warm-up and step decay (SAM section A; ViTDet).

    lr(parameter, step) = base · decay^(depth + 1 − layer) · warm-up(step) · 0.1^(milestones passed)

or with 1 − step / steps in place of the last factor.

Layer 0 is the patch embedding with the absolute positions, i + 1 is block i, and depth + 1 is everything else.

The paper trains all parameters with AdamW.  From random weights, the matrices of the linear layers learn faster with
Muon (minisam/train/muon.py): its steps are orthogonalised, and all directions of a matrix learn at the same speed.
All other parameters use AdamW.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable

from torch import nn, optim

from minisam.train.muon import Muon


def build_optimizers(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    layer_decay: float,
    depth: int,
    muon_lr: float | None = None,
) -> list[optim.Optimizer]:
    """AdamW for a Sam and, with a `muon_lr`, Muon for the matrices of its linear layers.

    Biases, norms, embeddings and position tables have no weight decay.  Each group stores its initial rate as
    `base_lr`, which `set_learning_rate` reads.
    """
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} if muon_lr else set()
    groups: dict[tuple[bool, int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            place = id(parameter) in matrices, layer_of(name, depth), has_weight_decay(name, parameter)
            groups[place].append(parameter)

    def of(by_muon: bool, base_lr: float) -> list[dict[str, object]]:
        return [
            {
                "params": parameters,
                "base_lr": base_lr * layer_decay ** (depth + 1 - layer),
                "weight_decay": weight_decay if decayed else 0.0,
            }
            for (is_matrix, layer, decayed), parameters in groups.items()
            if is_matrix == by_muon
        ]

    optimizers: list[optim.Optimizer] = [optim.AdamW(of(False, lr), lr=lr, betas=(0.9, 0.999))]
    if muon_lr:
        optimizers.append(Muon(of(True, muon_lr), lr=muon_lr))
    return optimizers


def parameters_of(optimizers: Iterable[optim.Optimizer]) -> list[nn.Parameter]:
    """All parameters that a step changes, whose gradients are clipped by their common norm."""
    return [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]


def layer_of(name: str, depth: int) -> int:
    """The layer number of a parameter of Sam, 0 … depth + 1."""
    if name.startswith(("image_encoder.patch_embed", "image_encoder.pos_embed")):
        return 0
    block = re.match(r"image_encoder\.blocks\.(\d+)\.", name)
    return int(block.group(1)) + 1 if block else depth + 1


TABLES = re.compile(r"pos_embed|rel_pos|point_embed|_a_point|no_mask|_tokens?(\.weight)?$")
"""In the names of what is looked up, not multiplied by: `mask_tokens.weight`, but no `cross_attn_token_to_image`."""


def has_weight_decay(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter has weight decay: matrices and kernels do; vectors, tokens and position tables do not."""
    return parameter.dim() > 1 and not TABLES.search(name)


def set_learning_rate(
    optimizers: Iterable[optim.Optimizer],
    step: int,
    steps: int,
    warmup: int,
    milestones: tuple[float, ...] = (),
    linear_decay: bool = False,
) -> float:
    """Set every group's rate for `step` of `steps`; returns the factor.  Milestones are fractions of `steps`."""
    factor = min(1.0, (step + 1) / max(1, warmup))
    if linear_decay:
        factor *= 1 - step / steps
    for milestone in milestones:
        if step >= milestone * steps:
            factor *= 0.1
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
    return factor


def warm_then_cosine(step: int, steps: int, warmup: int) -> float:
    """The rate's factor: a straight line up, half a cosine down."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

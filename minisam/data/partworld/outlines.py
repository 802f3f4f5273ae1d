"""All outline families by name, and a batch of outlines of mixed families."""

from __future__ import annotations

import torch

from minisam.data.partworld.curves import VERTICES
from minisam.data.partworld.foreign_shapes import FOREIGN_SHAPES
from minisam.data.partworld.shapes import TRAIN_SHAPES

FAMILIES = {family.__name__: family for family in (*TRAIN_SHAPES, *FOREIGN_SHAPES)}
INDEX = {name: index for index, name in enumerate(FAMILIES)}


def outlines(kind: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Outlines [N, 2, V] of families `kind` int64 [N] with shape numbers `u` [N, 4] in [0, 1)."""
    result = torch.empty(len(kind), 2, VERTICES)
    order = kind.argsort(stable=True)
    sizes = torch.bincount(kind, minlength=len(FAMILIES)).tolist()
    for family, chosen in zip(FAMILIES.values(), order.split(sizes), strict=True):
        if len(chosen):
            result[chosen] = family(u[chosen]).mT
    return result

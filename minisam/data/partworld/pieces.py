"""Which pieces of each template exist in a scene, and their outlines in the image.

Legend: b images, o objects (back to front), p slots of a template (slot 0 is the whole), V vertices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from minisam.data.partworld.batch import MAX_NODES
from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.layout import BACKDROPS, OBJECTS, Layout
from minisam.data.partworld.outlines import INDEX, outlines
from minisam.data.partworld.raster import MAX_BITS
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.templates import ANY, COLUMN, MAX_PIECES, SAME, compile_templates
from minisam.data.partworld.worlds import World


@dataclass
class Pieces:
    """All slots of all objects, [B, O, P].

    Attributes:
        exists: slot is in use (for slot 0: the object exists).
        level: 0, 1 or 2.
        clipped: visible only inside the slot that it lies on.
        on: slot that it lies on, 0 for the object itself.
        node: slot whose node it belongs to.
        owns_node: it is that slot.
        numbers: the template's numbers, [B, O, P, len(FIELDS)].
    """

    exists: torch.Tensor
    level: torch.Tensor
    clipped: torch.Tensor
    on: torch.Tensor
    node: torch.Tensor
    owns_node: torch.Tensor
    numbers: torch.Tensor

    @property
    def drawn(self) -> torch.Tensor:
        """Slots that have an outline."""
        return self.exists & (torch.arange(MAX_PIECES) > 0)

    def where(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Indices (b, o, p) of the slots that have an outline, in painter's order."""
        b, o, p = self.drawn.nonzero(as_tuple=True)
        return b, o, p


def sample_pieces(tape: Tape, world: World, knobs: Knobs, layout: Layout) -> Pieces:
    """Draw which pieces exist; objects in front are left out if there are not enough nodes or bits."""
    numbers = compile_templates(world.templates)[layout.template]
    level, on, node = (numbers[..., COLUMN[name]].long() for name in ("level", "on", "node"))
    clipped = numbers[..., COLUMN["clipped"]] > 0
    slots = torch.arange(MAX_PIECES)
    exists = (tape.uniform(OBJECTS, MAX_PIECES) < numbers[..., COLUMN["chance"]]) & layout.exists[..., None]
    too_deep = level >= knobs.levels
    exists &= ~(too_deep & clipped)
    exists[..., 0] = layout.exists
    node = torch.where(too_deep, 0, node)
    for _ in range(2):
        exists &= exists.gather(2, on) & exists.gather(2, node)
    owns_node = exists & (node == slots)
    silhouettes = (exists & ~clipped & (slots > 0)).sum(2)
    fits = (owns_node.sum(2).cumsum(1) <= MAX_NODES) & (silhouettes.cumsum(1) < MAX_BITS - BACKDROPS)
    return Pieces(exists & fits[..., None], level, clipped, on, node, owns_node & fits[..., None], numbers)


def turned(size: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Matrices [..., 2, 2] that scale by `size` [..., 2], then turn by `angle` [...] in radians."""
    c, s = angle.cos(), angle.sin()
    w, h = size.unbind(-1)
    return torch.stack((c * w, -s * h, s * w, c * h), -1).unflatten(-1, (2, 2))


def affine(points: torch.Tensor, matrix: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """matrix [N, 2, 2] times points [N, 2, V] plus offset [N, 2]."""
    x, y = points[:, :1], points[:, 1:]
    return torch.addcmul(offset[..., None] + matrix[..., :1] * x, matrix[..., 1:], y)


def piece_outlines(tape: Tape, world: World, layout: Layout, pieces: Pieces) -> torch.Tensor:
    """Outlines [N, 2, V] as fractions of the image side, of the pieces at `pieces.where()`."""
    b, o, p = pieces.where()
    kind = pieces.numbers[..., COLUMN["family"]].long()
    bodies = torch.tensor([INDEX[name] for name in world.bodies])
    kind = torch.where(kind == ANY, bodies[(tape.uniform(OBJECTS, MAX_PIECES) * len(bodies)).long()], kind)
    shape = tape.uniform(OBJECTS, MAX_PIECES, 4)
    jitter = (2 * tape.uniform(OBJECTS, MAX_PIECES, 6) - 1)[b, o, p]
    source = torch.where(kind[b, o, p] == SAME, 1, p)
    points = outlines(kind[b, o, source], shape[b, o, source])

    column = dict(zip(COLUMN, pieces.numbers[b, o, p].unbind(-1), strict=True))
    wobble = jitter * column["loose"][:, None]
    angle = column["turn"] + column["spin"] * jitter[:, 0]
    around = math.pi * jitter[:, 1]
    size = torch.stack((column["width"], column["height"]), -1) * wobble[:, 2:4].exp()
    at = torch.stack((column["x"], column["y"]), -1) + 0.5 * wobble[:, 4:6] * size
    at = at + column["orbit"][:, None] * torch.stack((around.cos(), around.sin()), -1)
    matrix = turned(size, angle)

    host = pieces.on[b, o, p]
    row_of = torch.zeros(pieces.exists.shape, dtype=torch.int64)
    row_of[b, o, p] = torch.arange(len(b))
    row = row_of[b, o, host]
    hosted = (host > 0) & (pieces.level[b, o, host] > 0)
    at = torch.where(hosted[:, None], (matrix[row] * at[:, None]).sum(-1) + at[row], at)
    matrix = torch.where(hosted[:, None, None], matrix[row] @ matrix, matrix)

    points = affine(points, matrix, at)
    points[:, 1] += layout.bend[b, o][:, None] * (points[:, 0].square() - 0.3)
    return affine(points, layout.frame[b, o], layout.centre[b, o])

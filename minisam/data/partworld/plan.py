"""The plan of a batch: every outline with its bit, and the tables that map bits to nodes.

There are two kinds of outline.  A *silhouette* may hide anything behind it: it owns a bit of the image's canvas, in
painter's order.  An *inlay* (a clipped piece) is visible only inside the piece that it lies on: it owns a bit in a
small window of its object. Inlays of different objects never overlap.

Legend: b images, o objects (back to front), p slots of a template (slot 0 is the whole), k node index of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minisam.data.partworld.batch import MAX_NODES
from minisam.data.partworld.layout import BACKDROPS, OBJECTS
from minisam.data.partworld.pieces import Pieces
from minisam.data.partworld.templates import MAX_PIECES

NODE_SLOTS = MAX_NODES + BACKDROPS + 1
"""Nodes of an image for shading: labelled ones, then the background, then its unlabelled backdrops."""
CANVAS_BITS = 64


@dataclass
class Outlines:
    """Polygons in pixels, sorted by image: vertices [N, 2, V], bit [N], window start [N] and box [N, 4]."""

    vertices: torch.Tensor
    bit: torch.Tensor
    start: torch.Tensor
    box: torch.Tensor
    first: list[int]
    """Row where each image starts, with the total at the end."""


@dataclass
class Plan:
    """The input of the pixel stages.

    Attributes:
        silhouettes: outlines in painter's order.
        inlays: clipped outlines, in windows that lie one after the other in each image's strip.
        strip: pixels of each image's strip of windows.
        bit_node: int32 [B, 64], node of a silhouette.
        bit_window: int32 [3, B, 64], a silhouette's window in the strip: start, width, and first inlay of the object.
        bit_inlays: int32 [B, 64], the part inlays that a silhouette may show.
        inlay_node: int32 [B, OBJECTS * MAX_PIECES], node of an inlay's bit; -1 at bit 0.
        node_inlays: int32 [B, NODE_SLOTS], the subpart inlays that a node may show.
        node_labels: int16 [3, B, NODE_SLOTS], whole, part and subpart of a node.
        level: int8 [B, MAX_NODES].
        parent: int16 [B, MAX_NODES].
        slot_node: int64 [B, O, P], node that a slot belongs to (where it exists).
    """

    silhouettes: Outlines
    inlays: Outlines
    strip: list[int]
    bit_node: torch.Tensor
    bit_window: torch.Tensor
    bit_inlays: torch.Tensor
    inlay_node: torch.Tensor
    node_inlays: torch.Tensor
    node_labels: torch.Tensor
    level: torch.Tensor
    parent: torch.Tensor
    slot_node: torch.Tensor


def make_plan(pieces: Pieces, vertices: torch.Tensor, backdrops: torch.Tensor, size: int) -> Plan:
    """Number nodes and bits, and place the windows.

    Args:
        pieces: the pieces that exist.
        vertices: [N, 2, V] in pixels, outlines of the pieces at `pieces.where()`.
        backdrops: [B, BACKDROPS, 2, V] in pixels; a missing backdrop has no area.
        size: S, side of the image.
    """
    B = len(backdrops)
    b, o, p = pieces.where()
    slot_node = number_nodes(pieces)
    adds, clips = pieces.drawn & ~pieces.clipped, pieces.drawn & pieces.clipped
    canvas_bit = adds.flatten(1).cumsum(1).reshape(adds.shape) + BACKDROPS
    inlay_bit = clips.cumsum(2)
    is_inlay = clips[b, o, p]
    add_rows, inlay_rows = (~is_inlay).nonzero().flatten(), is_inlay.nonzero().flatten()

    box = object_boxes(vertices[add_rows], (b * OBJECTS + o)[add_rows], B, size)
    width = box[:, 2] - box[:, 0]
    has_inlays = clips.any(2).reshape(-1)
    ends = (width * (box[:, 3] - box[:, 1]) * has_inlays).reshape(B, OBJECTS).cumsum(1)
    start = torch.cat((torch.zeros(B, 1, dtype=torch.int64), ends[:, :-1]), 1).reshape(-1)

    image = torch.cat((torch.arange(B).repeat_interleave(BACKDROPS), b[add_rows]))
    order = image.argsort(stable=True)
    canvas = torch.tensor([0, 0, size, size]).expand(len(image), 4)
    silhouettes = Outlines(
        torch.cat((backdrops.flatten(0, 1), vertices[add_rows]))[order],
        torch.cat((torch.arange(1, BACKDROPS + 1).repeat(B), canvas_bit[b, o, p][add_rows]))[order],
        torch.zeros(len(image), dtype=torch.int64),
        canvas,
        _first(image[order], B),
    )
    b2, o2, p2 = b[inlay_rows], o[inlay_rows], p[inlay_rows]
    inlays = Outlines(
        vertices[inlay_rows],
        inlay_bit[b2, o2, p2],
        start[b2 * OBJECTS + o2],
        box[b2 * OBJECTS + o2],
        _first(b2, B),
    )

    b1, o1, p1 = b[add_rows], o[add_rows], p[add_rows]
    bit = canvas_bit[b1, o1, p1]
    owner = b1 * OBJECTS + o1
    shows = inlay_sets(pieces, clips, inlay_bit)
    backdrop_node = MAX_NODES + torch.arange(CANVAS_BITS).clamp_max(BACKDROPS)
    bit_node = backdrop_node.to(torch.int32).expand(B, -1).clone()
    bit_node[b1, bit] = slot_node[b1, o1, p1].to(torch.int32)
    bit_window = torch.zeros(3, B, CANVAS_BITS, dtype=torch.int32)
    corner = start[owner] - box[owner, 1] * width[owner] - box[owner, 0]
    window = torch.stack((corner, width[owner], o1 * MAX_PIECES)) * has_inlays[owner]
    bit_window[:, b1, bit] = window.to(torch.int32)
    bit_inlays = torch.zeros(B, CANVAS_BITS, dtype=torch.int32)
    bit_inlays[b1, bit] = shows[1][b1, o1, p1]
    inlay_node = torch.full((B, OBJECTS * MAX_PIECES), -1, dtype=torch.int32)
    inlay_node[b2, o2 * MAX_PIECES + inlay_bit[b2, o2, p2]] = slot_node[b2, o2, p2].to(torch.int32)
    node_inlays = torch.zeros(B, NODE_SLOTS, dtype=torch.int32)
    node_inlays[b, slot_node[b, o, p]] = shows[2][b, o, p]
    node_labels, level, parent = tree_tables(pieces, slot_node)
    return Plan(
        silhouettes, inlays, ends[:, -1].clamp_min(size).tolist(), bit_node, bit_window, bit_inlays, inlay_node,
        node_inlays, node_labels, level, parent, slot_node,
    )  # fmt: skip


def _first(image: torch.Tensor, batch_size: int) -> list[int]:
    return torch.searchsorted(image, torch.arange(batch_size + 1)).tolist()


def number_nodes(pieces: Pieces) -> torch.Tensor:
    """Node index of every slot, [B, O, P]: objects back to front, and a child after its parent."""
    count = pieces.owns_node.flatten(1).cumsum(1).reshape(pieces.owns_node.shape) - 1
    return count.gather(2, pieces.node).clamp_min(0)


def object_boxes(vertices: torch.Tensor, owner: torch.Tensor, batch_size: int, size: int) -> torch.Tensor:
    """Window (x0, y0, x1, y1) of every object inside the image, int64 [B * O, 4]; empty if it is not visible."""
    low = torch.full((batch_size * OBJECTS, 2), float(size))
    high = torch.zeros(batch_size * OBJECTS, 2)
    both = owner[:, None].expand(-1, 2)
    low.scatter_reduce_(0, both, vertices.amin(2), "amin")
    high.scatter_reduce_(0, both, vertices.amax(2), "amax")
    low = low.floor().clamp_(0, size)
    return torch.cat((low, torch.maximum(high.ceil().clamp_(0, size), low)), 1).long()


def inlay_sets(pieces: Pieces, clips: torch.Tensor, inlay_bit: torch.Tensor) -> dict[int, torch.Tensor]:
    """For levels 1 and 2: the set of inlays that sit on each slot, int32 [B, O, P]."""
    value = torch.where(clips, 1 << inlay_bit, 0).to(torch.int32)
    return {
        level: torch.zeros_like(value).scatter_add_(2, pieces.on, value * (pieces.level == level))
        for level in (1, 2)
    }


def tree_tables(pieces: Pieces, slot_node: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels of a node at the three levels, its level, and its parent."""
    B = len(slot_node)
    labels = torch.full((3, B, NODE_SLOTS), -1, dtype=torch.int16)
    level = torch.full((B, MAX_NODES), -1, dtype=torch.int8)
    parent = torch.full((B, MAX_NODES), -1, dtype=torch.int16)
    b, o, p = pieces.owns_node.nonzero(as_tuple=True)
    node, whole = slot_node[b, o, p].to(torch.int16), slot_node[b, o, 0].to(torch.int16)
    host = slot_node[b, o, pieces.on[b, o, p]].to(torch.int16)
    depth = torch.where(p == 0, 0, pieces.level[b, o, p])
    k = node.long()
    labels[0, b, k] = whole
    labels[1, b, k] = torch.where(depth == 0, -1, torch.where(depth == 1, node, host))
    labels[2, b, k] = torch.where(depth == 2, node, -1)
    level[b, k] = depth.to(torch.int8)
    parent[b, k] = torch.where(depth == 0, -1, torch.where(depth == 1, whole, host))
    return labels, level, parent

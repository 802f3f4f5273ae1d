"""Captions of nodes: "<colour> <texture> <part> of the <object>"."""

from __future__ import annotations

import torch

from minisam.data.partworld.appearance import Appearance
from minisam.data.partworld.bank import TILE
from minisam.data.partworld.layout import Layout
from minisam.data.partworld.pieces import Pieces
from minisam.data.partworld.plan import Plan
from minisam.data.partworld.worlds import World

HUES = ("yellow", "orange", "red", "purple", "blue", "cyan", "green", "lime")
"""Names of the eight octants of the opponent plane, from the yellow axis on towards red."""
GREYS = ("black", "dark grey", "grey", "light grey", "white")
MUTED = 0.06


def colour_names(colour: torch.Tensor) -> list[list[str]]:
    """Name of each opponent colour [B, K, 3]."""
    lightness, yellow, red = colour.unbind(-1)
    octant = (torch.atan2(red, yellow) / (torch.pi / 4)).round().long().remainder(8)
    grey = (lightness.clamp(0, 0.999) * len(GREYS)).long()
    index = torch.where((yellow**2 + red**2).sqrt() < MUTED, grey, len(GREYS) + octant)
    names = GREYS + HUES
    return [[names[i] for i in row] for row in index.tolist()]


def captions(world: World, layout: Layout, pieces: Pieces, plan: Plan, look: Appearance) -> list[list[str]]:
    """One phrase for each node of each image, "" for padding."""
    colours = colour_names(look.colour)
    tiles = (look.first_texel // TILE**2).tolist()
    phrases = [[""] * plan.level.shape[1] for _ in colours]
    b, o, p = pieces.owns_node.nonzero(as_tuple=True)
    template = layout.template[b, o].tolist()
    node = plan.slot_node[b, o, p].tolist()
    for image, slot, kind, k in zip(b.tolist(), p.tolist(), template, node, strict=True):
        thing = world.templates[kind]
        what = thing.name if slot == 0 else f"{thing.pieces[slot - 1].name} of the {thing.name}"
        texture = world.textures[tiles[image][k]].replace("_", " ")
        phrases[image][k] = f"{colours[image][k]} {texture} {what}"
    return phrases

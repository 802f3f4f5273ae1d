"""Colours: an image has a few base colours for its objects; parts share their object's colour or have another.

Colours are in an opponent space (lightness, yellow-blue, red-green), where the colours of most photographs are muted
and close to the yellow-blue axis.

Legend: b images, o objects, p slots, k nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from minisam.data.partworld.layout import BACKDROPS, OBJECTS, Layout
from minisam.data.partworld.pieces import Pieces
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.templates import MAX_PIECES
from minisam.data.partworld.worlds import World

OPPONENT_TO_RGB = torch.tensor([[1.0, 1.0, 1.0], [0.30, 0.12, -0.85], [0.75, -0.42, 0.10]])
BASES = 6


@dataclass
class Paint:
    """Colour and texture number of every slot and of the backdrops (the background first).

    Attributes:
        slots: [B, O, P, 3], opponent colour.
        slot_texture: [B, O, P], uniform numbers that choose a texture.
        backs: [B, 1 + BACKDROPS, 3].
        back_texture: [B, 1 + BACKDROPS].
    """

    slots: torch.Tensor
    slot_texture: torch.Tensor
    backs: torch.Tensor
    back_texture: torch.Tensor


def free_colours(tape: Tape, world: World, *shape: int) -> torch.Tensor:
    """Colours [B, *shape, 3] from the world's gamut: mostly muted, sometimes vivid."""
    low, high = world.lightness
    lightness = low + (high - low) * tape.uniform(*shape)
    u = tape.uniform(*shape)
    chroma = world.chroma * (0.35 * u + 0.65 * u**4)
    hue = 2 * math.pi * (world.hue + world.hue_spread * (tape.uniform(*shape) - 0.5))
    chroma = chroma * (1 - (2 * lightness - 1).abs() ** 3)
    return torch.stack((lightness, chroma * hue.cos(), 0.7 * chroma * hue.sin()), -1)


def own_hues(world: World, template: torch.Tensor) -> torch.Tensor:
    """The hue [..., 2] that objects of these templates have in common, spread evenly around the colour circle."""
    angle = 2 * math.pi * template / len(world.templates)
    return world.own_hues * torch.stack((angle.cos(), 0.7 * angle.sin()), -1)


def sample_paint(tape: Tape, world: World, layout: Layout, pieces: Pieces) -> Paint:
    """Give every slot a colour and a texture; a part shares its object's with probability 1/2."""
    bases = free_colours(tape, world, BASES)
    jitter = torch.tensor([0.12, 0.04, 0.04])

    def from_bases(*shape: int) -> torch.Tensor:
        count = math.prod(shape)
        index = (tape.uniform(count) * BASES).long()[..., None].expand(-1, -1, 3)
        taken = bases.gather(1, index).reshape(-1, *shape, 3)
        taken = taken + (2 * tape.uniform(*shape, 3) - 1) * jitter
        return torch.where(tape.chance(0.6, *shape)[..., None], taken, free_colours(tape, world, *shape))

    own, texture = from_bases(OBJECTS, MAX_PIECES), tape.uniform(OBJECTS, MAX_PIECES)
    own[..., 1:] += own_hues(world, layout.template)[:, :, None]
    shares = tape.chance(0.5, OBJECTS, MAX_PIECES)
    signed = 2 * tape.uniform(OBJECTS, MAX_PIECES) - 1
    step = signed.sign() * (0.05 + 0.25 * signed.abs() ** 2)
    slots = own.clone()
    for level, source in ((1, torch.zeros_like(pieces.on)), (2, pieces.on)):
        source = torch.where(pieces.node == 0, 0, source)
        kin = slots.gather(2, source[..., None].expand(-1, -1, -1, 3))
        lightness = kin[..., 0] + torch.where((kin[..., 0] + step - 0.5).abs() > 0.45, -step, step)
        kin = torch.cat((lightness[..., None], kin[..., 1:]), -1)
        here = (pieces.level == level) & shares
        slots = torch.where(here[..., None], kin, slots)
        texture = torch.where(here, texture.gather(2, source), texture)
    backs = from_bases(1 + BACKDROPS)
    backs[:, 0, 0] = torch.lerp(
        torch.tensor(world.backdrop[0]), torch.tensor(world.backdrop[1]), tape.uniform()
    )
    return Paint(slots, texture, backs, tape.uniform(1 + BACKDROPS))

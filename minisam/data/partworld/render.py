"""Scenes in two stages: the plan of all scenes on the CPU, then their pixels on any device.

seed -> tape of random numbers -> layout -> pieces -> outlines -> plan -> (bits -> nodes -> labels) and (colours).
Pixels are computed for a few images at a time on a CPU, for its caches, and for all at once on other devices.
"""

from __future__ import annotations

import dataclasses
import zlib

import torch

from minisam.data.partworld.air import air_map, sample_air
from minisam.data.partworld.appearance import SHADES, sample_appearance
from minisam.data.partworld.backdrops import backdrop_outlines
from minisam.data.partworld.bank import bank
from minisam.data.partworld.batch import SceneBatch
from minisam.data.partworld.camera import photograph, sample_camera
from minisam.data.partworld.captions import captions
from minisam.data.partworld.effects import absorb, draw_lines
from minisam.data.partworld.knobs import RANGES
from minisam.data.partworld.labels import label_maps, visible_area, visible_nodes
from minisam.data.partworld.layout import sample_layout
from minisam.data.partworld.pieces import piece_outlines, sample_pieces
from minisam.data.partworld.plan import make_plan
from minisam.data.partworld.shade import shade
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.worlds import VARIANTS, WORLDS

TAPE_LENGTH = 13_000
BANKS = 16
"""Number of texture banks of a world; a seed uses bank seed % BANKS."""
CHUNK_PIXELS = 1 << 17


def render_scenes(
    seed: int,
    batch_size: int,
    image_size: int = 256,
    world: str = "train",
    device: str | torch.device = "cpu",
    **knobs: float,
) -> SceneBatch:
    """Draw scenes of a world with their exact label maps and part trees.

    Args:
        seed: determines everything random (together with the world's name).
        batch_size: B.  Scene i does not depend on it, up to rounding in the images.
        image_size: S, at least 32.
        world: one of WORLDS or VARIANTS.
        device: where the pixels are computed and stay.  The same arguments give the same bytes on the same device.
        knobs: fields of `Knobs`; the others keep the world's values.

    Raises:
        ValueError: an unknown world or knob, or a value out of range.
    """
    worlds = WORLDS | VARIANTS
    if world not in worlds:
        raise ValueError(f"unknown world {world!r}; use one of {', '.join(worlds)}")
    if image_size < 32 or batch_size < 1:
        raise ValueError(f"cannot draw {batch_size} images of {image_size} px; use at least 1 image of 32 px")
    if unknown := sorted(set(knobs) - set(RANGES)):
        raise ValueError(f"unknown knob {unknown[0]!r}; use one of {', '.join(RANGES)}")
    place = worlds[world]
    hardness = dataclasses.replace(place.knobs, **knobs)
    place = place.plainer(hardness.richness)
    device = torch.device(device)
    tape = Tape((seed * 0x9E3779B1 + zlib.crc32(world.encode())) % 2**63, batch_size, TAPE_LENGTH)
    layout = sample_layout(tape, place, hardness)
    pieces = sample_pieces(tape, place, hardness, layout)
    vertices = piece_outlines(tape, place, layout, pieces) * image_size
    plan = make_plan(pieces, vertices, backdrop_outlines(tape, place) * image_size, image_size)
    look = sample_appearance(tape, place, hardness, layout, pieces, plan)
    air, camera = sample_air(tape, place), sample_camera(tape, place, image_size)
    tiles = bank(place.textures, seed % BANKS, SHADES, str(device))

    images = torch.empty(batch_size, 3, image_size, image_size, dtype=torch.uint8, device=device)
    labels = torch.empty(batch_size, 3, image_size, image_size, dtype=torch.int16, device=device)
    area = torch.empty(plan.level.shape, dtype=torch.int32)
    step = max(1, CHUNK_PIXELS // image_size**2) if device.type == "cpu" else batch_size
    for first in range(0, batch_size, step):
        chunk = range(first, min(first + step, batch_size))
        rows = slice(chunk.start, chunk.stop)
        node, depth = visible_nodes(plan, chunk, image_size, device)
        labels[rows] = label_maps(plan, chunk, node)
        area[rows] = visible_area(plan, chunk, node)
        colours = shade(look, tiles, node, air_map(air, depth, chunk), chunk)
        if place.transparent:
            colours = absorb(colours, plan, chunk)
        if place.ink:
            colours = draw_lines(colours, node)
        images[rows] = photograph(camera, colours, node, chunk)
    phrases = captions(place, layout, pieces, plan, look)
    return SceneBatch(images, labels, plan.level.to(device), plan.parent.to(device), area.to(device), phrases)

"""Unlabelled shapes behind every object: a ground with its horizon, wall panels, clutter."""

from __future__ import annotations

import math

import torch

from minisam.data.partworld.curves import VERTICES
from minisam.data.partworld.layout import BACKDROPS
from minisam.data.partworld.outlines import INDEX, outlines
from minisam.data.partworld.pieces import affine, turned
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.worlds import World


def backdrop_outlines(tape: Tape, world: World) -> torch.Tensor:
    """Outlines [B, BACKDROPS, 2, V] in fractions of the image side; missing backdrops have no area.

    The first is the ground, which fills everything below a horizon; the others are panels and blobs anywhere.
    """
    u = tape.uniform(BACKDROPS, 10)
    shapes = torch.tensor([INDEX["box"], INDEX["box"], INDEX["box"], INDEX["blob"], INDEX["squircle"]])
    kind = shapes.expand(len(u), -1)
    size = 0.04 + 0.55 * u[..., 4:6] ** 1.5
    centre = u[..., 6:8].clone()
    tilt = 0.15 * (2 * u[..., 8] - 1) ** 3 * math.pi
    size[:, 0] = 1.5
    centre[:, 0, 0] = 0.5
    centre[:, 0, 1] = 1.5 + 0.15 + 0.7 * u[:, 0, 7]
    there = u[..., 9] < world.clutter * torch.tensor([0.45, 0.45, 0.3, 0.35, 0.35])
    points = outlines(kind.flatten(), u[..., :4].flatten(0, 1))
    matrix = turned(size * there[..., None], tilt).flatten(0, 1)
    return affine(points, matrix, centre.flatten(0, 1)).reshape(-1, BACKDROPS, 2, VERTICES)

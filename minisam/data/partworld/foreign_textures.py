"""Texture families that the training world never shows: generator -> tile [DRAWN, DRAWN] in [0, 1]."""

from __future__ import annotations

import math

import torch

from minisam.data.partworld.textures import cloudy, draw, grid, nearest, noise, uniform, warped, wave


def bricks(generator: torch.Generator) -> torch.Tensor:
    """Courses of bricks with pale joints."""
    x, y = grid()
    rows = 2 * int(3 + 4 * draw(generator))
    course = (y * rows).floor()
    columns = (x * rows / 2 + 0.5 * course.remainder(2)).frac()
    joint = torch.maximum((columns - 0.5).abs() / 0.46, ((y * rows).frac() - 0.5).abs() / 0.42)
    column = (x * rows / 2 + 0.5 * course.remainder(2)).long() % (rows // 2)
    shade = torch.rand(rows, rows // 2, generator=generator)[course.long(), column]
    return torch.where(joint > 1, 0.9, 0.25 + 0.4 * shade)


def scales(generator: torch.Generator) -> torch.Tensor:
    """Overlapping round scales, each lit from one side."""
    x, y = grid()
    rows = 2 * int(3 + 5 * draw(generator))
    course = (y * rows).floor()
    dx = (x * rows / 2 + 0.5 * course.remainder(2)).frac() - 0.5
    return (1.2 - 1.6 * (dx**2 + (y * rows).frac() ** 2 * 0.25).sqrt()).clamp(0, 1)


def herringbone(generator: torch.Generator) -> torch.Tensor:
    """Stripes that turn back and forth."""
    x, y = grid()
    count = int(3 + 4 * draw(generator))
    return wave(y * 2 * count + (2 * (x * count).frac() - 1).abs() * 2, 2.0)


def marbled(generator: torch.Generator) -> torch.Tensor:
    """Dark veins along the level lines of warped noise."""
    field = cloudy(generator) + 0.25 * uniform(noise(generator, 1.2))
    return (torch.sin(2 * math.pi * 1.5 * field).abs() ** 0.4).clamp(0, 1)


def ringed(generator: torch.Generator) -> torch.Tensor:
    """Concentric rings around scattered centres."""
    distance, _ = nearest(generator, int(4 + 8 * draw(generator)))
    return wave(distance * (2 + 2 * draw(generator)), 2.0)


def knitted(generator: torch.Generator) -> torch.Tensor:
    """Loops of yarn."""
    x, y = warped(generator, 0.01)
    count = int(6 + 6 * draw(generator))
    lean = (2 * (x * count).frac() - 1).abs()
    return 0.2 + 0.8 * wave(y * count + 0.5 * lean, 0.8) * (1 - (2 * lean - 1).abs() ** 3)


def speckled(generator: torch.Generator) -> torch.Tensor:
    """Fine grains of two sizes."""
    coarse, _ = nearest(generator, 180)
    return (
        0.75 - 0.5 * torch.sigmoid((0.3 - coarse) * 30) + 0.3 * (uniform(noise(generator, 0.2)) - 0.5)
    ).clamp(0, 1)


FOREIGN_TEXTURES = (bricks, scales, herringbone, marbled, ringed, knitted, speckled)

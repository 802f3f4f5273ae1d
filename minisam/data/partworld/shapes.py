"""Outline families of the training world: four uniform numbers u [N, 4] -> closed polygons [N, V, 2] in [-1, 1]^2.

Every outline is simple (it never crosses itself), which the rasteriser relies on.
"""

from __future__ import annotations

import math

import torch

from minisam.data.partworld.curves import (
    TAU,
    VERTICES,
    along,
    angles,
    band,
    corners,
    polar,
    round_ends,
    sector,
)


def disk(u: torch.Tensor) -> torch.Tensor:
    """A circle; u is not used."""
    return polar(torch.ones(len(u), VERTICES))


def box(u: torch.Tensor) -> torch.Tensor:
    """The square itself; u is not used."""
    return corners([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)], len(u))


def trapezoid(u: torch.Tensor) -> torch.Tensor:
    """A trapezium whose upper side is 0.3..0.9 of the lower one."""
    top = 0.3 + 0.6 * u[:, 0]
    return corners([(-top, -1.0), (top, -1.0), (1.0, 1.0), (-1.0, 1.0)], len(u))


def triangle(u: torch.Tensor) -> torch.Tensor:
    """An isosceles triangle with its tip up; u is not used."""
    return corners([(0.0, -1.0), (1.0, 1.0), (-1.0, 1.0)], len(u))


def squircle(u: torch.Tensor) -> torch.Tensor:
    """Superellipse |x|^e + |y|^e = 1, e = 1.3..9: from a soft diamond to a box with round corners."""
    exponent = 1.3 * (9 / 1.3) ** u[:, :1]
    theta = angles()
    return polar((theta.cos().abs() ** exponent + theta.sin().abs() ** exponent) ** (-1 / exponent))


def blob(u: torch.Tensor) -> torch.Tensor:
    """Fourier blob: r = 1 + sum_k a_k cos(k theta + phase_k), with a_k falling like 1/k."""
    k = torch.arange(2, 7)
    mix = (u[:, :2, None] * torch.tensor([[37.0], [91.0]]) * k).frac()
    waves = torch.cos(k[:, None] * angles() + TAU * mix[:, 0, :, None])
    return polar(1 + (0.15 + 0.55 * u[:, 3:4]) * ((mix[:, 1] / k)[:, None] @ waves).squeeze(1))


def polygon(u: torch.Tensor) -> torch.Tensor:
    """Regular polygon with 3..8 corners, rounded by up to a half."""
    wedge_angle = TAU / (3 + 6 * u[:, :1]).floor()
    angle = (angles() + TAU * u[:, 1:2]).remainder(wedge_angle) - wedge_angle / 2
    return polar(torch.lerp(torch.cos(wedge_angle / 2) / angle.cos(), torch.ones(1), 0.5 * u[:, 2:3] ** 2))


def star(u: torch.Tensor) -> torch.Tensor:
    """Star or soft flower with 3..9 tips."""
    wave = ((3 + 7 * u[:, :1]).floor() * angles() + TAU * u[:, 1:2]).cos()
    sharp = 1 - (2 / math.pi) * torch.arccos(wave.clamp(-0.999, 0.999))
    return polar(1 + (0.15 + 0.4 * u[:, 2:3]) * torch.where(u[:, 3:4] < 0.5, wave, sharp))


def leaf(u: torch.Tensor) -> torch.Tensor:
    """A lens, pointed at the right and rounder at the left: leaf, drop, petal, fin."""
    x = along()
    width = (x + 1.001) ** (0.4 + 0.5 * u[:, :1]) * (1.001 - x) ** (0.7 + 0.8 * u[:, 1:2])
    return band(torch.zeros_like(width), width / width.amax(1, keepdim=True))


def half(u: torch.Tensor) -> torch.Tensor:
    """The lower half of a disk, with its straight side on top; u is not used."""
    depth = (1 - along() ** 2).clamp_min(0).sqrt().expand(len(u), -1)
    return band(depth - 1, depth)


def wedge(u: torch.Tensor) -> torch.Tensor:
    """A sector of a disk around the x axis: 60..200 degrees."""
    return sector(TAU * (0.17 + 0.38 * u[:, :1]), torch.full((len(u), 1), 0.999))


def crescent(u: torch.Tensor) -> torch.Tensor:
    """A moon that opens downwards."""
    rim = (1 - along() ** 2).clamp_min(0).sqrt()
    inner = 0.1 + 0.7 * u[:, :1]
    return band(0.5 - rim * (1 + inner) * 0.75, 0.75 * rim * (1 - inner) + 1e-3)


def ribbon(u: torch.Tensor) -> torch.Tensor:
    """A winding band: sine centre line, half width 0.05..0.25, thinner towards one end."""
    x = along()
    turns = 1.5 + 4 * u[:, :1]
    swing, phase = 1.2 * u[:, 1:2] / turns.sqrt(), TAU * u[:, 2:3]
    slope = swing * turns * torch.cos(turns * x + phase)
    taper = 1 - 0.5 * u[:, 2:3] * (x + 1) / 2
    width = (0.05 + 0.2 * u[:, 3:4]) * taper * round_ends(8) * (1 + slope**2).sqrt()
    return band(swing * torch.sin(turns * x + phase), width)


def capsule(u: torch.Tensor) -> torch.Tensor:
    """A rod with round ends, tapered by up to a half; its half width is 1 (scale y to taste)."""
    width = round_ends(6) * (1 - 0.5 * u[:, :1] * (along() + 1) / 2)
    return band(torch.zeros_like(width), width)


def ring(u: torch.Tensor) -> torch.Tensor:
    """A closed ring around a hole; its wall is 0.12..0.45 of the radius."""
    return sector(torch.full((len(u), 1), TAU), 0.12 + 0.33 * u[:, :1])


def arc(u: torch.Tensor) -> torch.Tensor:
    """Part of a ring around the x axis: 140..300 degrees."""
    return sector(TAU * (0.4 + 0.43 * u[:, :1]), 0.12 + 0.25 * u[:, 1:2])


TRAIN_SHAPES = (
    disk, box, trapezoid, triangle, squircle, blob, polygon, star, leaf, half, wedge, crescent, ribbon, capsule,
    ring, arc,
)  # fmt: skip

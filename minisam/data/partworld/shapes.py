"""Outline families: each turns four uniform numbers into closed polygons in the frame [-1, 1] x [-1, 1].

Every outline is simple (it never crosses itself), which the rasteriser relies on.  Star-convex families are a
radius r(theta); ribbons and arcs are a centre line with a width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

VERTICES = 48
TAU = 2 * math.pi

Family = Callable[[torch.Tensor], torch.Tensor]


def _angles() -> torch.Tensor:
    return torch.arange(VERTICES) * (TAU / VERTICES)


def _polar(radius: torch.Tensor) -> torch.Tensor:
    theta = _angles()
    radius = radius / radius.amax(1, keepdim=True)
    return torch.stack((radius * theta.cos(), radius * theta.sin()), -1)


def _there_and_back(top: torch.Tensor, bottom: torch.Tensor) -> torch.Tensor:
    return torch.cat((top, bottom.flip(1)), 1)


def disk(u: torch.Tensor) -> torch.Tensor:
    """A circle; u is not used."""
    return _polar(torch.ones(len(u), VERTICES))


def box(u: torch.Tensor) -> torch.Tensor:
    """The square [-1, 1] x [-1, 1] with exact corners; u is not used."""
    return _trapezoid(torch.ones(len(u), 1), torch.ones(len(u), 1))


def _trapezoid(top: torch.Tensor, bottom: torch.Tensor) -> torch.Tensor:
    side = torch.linspace(-1, 1, VERTICES // 4 + 1)[:-1].expand(len(top), -1)
    edge = torch.ones_like(side)
    return torch.stack(
        (
            torch.cat((side * top, top + (bottom - top) * (side + 1) / 2, -side * bottom,
                       -(bottom + (top - bottom) * (side + 1) / 2)), 1),
            torch.cat((-edge, side, edge, -side), 1),
        ),
        -1,
    )


def trapezoid(u: torch.Tensor) -> torch.Tensor:
    """A trapezium whose upper side is 0.3..0.9 of the lower one."""
    return _trapezoid(0.3 + 0.6 * u[:, :1], torch.ones(len(u), 1))


def triangle(u: torch.Tensor) -> torch.Tensor:
    """An isosceles triangle with its tip up; u is not used."""
    return _trapezoid(torch.full((len(u), 1), 0.02), torch.ones(len(u), 1))


def squircle(u: torch.Tensor) -> torch.Tensor:
    """Superellipse |x|^e + |y|^e = 1, e = 1.3..9: from a soft diamond to a box with round corners."""
    exponent = 1.3 * (9 / 1.3) ** u[:, :1]
    theta = _angles()
    return _polar((theta.cos().abs() ** exponent + theta.sin().abs() ** exponent) ** (-1 / exponent))


def blob(u: torch.Tensor) -> torch.Tensor:
    """Fourier blob: r = 1 + sum_k a_k cos(k theta + phase_k), a_k falling like 1/k."""
    k = torch.arange(2, 7)
    mix = (u[:, :, None] * torch.tensor([37.0, 91.0, 53.0, 17.0])[:, None] * k).frac().unsqueeze(-1)
    theta = _angles()
    waves = torch.cos(k[:, None] * theta + TAU * mix[:, 0]) * (mix[:, 1] / k[:, None])
    return _polar(1 + (0.15 + 0.55 * u[:, 3:4]) * waves.sum(1))


def polygon(u: torch.Tensor) -> torch.Tensor:
    """Regular polygon with 3..8 corners, rounded by up to a half."""
    corners = (3 + 6 * u[:, :1]).floor()
    sector = TAU / corners
    angle = (_angles() + TAU * u[:, 1:2]).remainder(sector) - sector / 2
    return _polar(torch.lerp(torch.cos(sector / 2) / angle.cos(), torch.ones(1), 0.5 * u[:, 2:3] ** 2))


def star(u: torch.Tensor) -> torch.Tensor:
    """Star or soft flower with 3..9 tips."""
    tips = (3 + 7 * u[:, :1]).floor()
    wave = (tips * _angles() + TAU * u[:, 1:2]).cos()
    sharp = 1 - (2 / math.pi) * torch.arccos(wave.clamp(-0.999, 0.999))
    return _polar(1 + (0.15 + 0.4 * u[:, 2:3]) * torch.where(u[:, 3:4] < 0.5, wave, sharp))


def _ribbon(line: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    x = torch.linspace(-1, 1, VERTICES // 2).expand_as(line)
    outline = _there_and_back(torch.stack((x, line + width), -1), torch.stack((x, line - width), -1))
    return outline / outline[..., 1:].abs().amax(1, keepdim=True).clamp_min(1.0)


def ribbon(u: torch.Tensor) -> torch.Tensor:
    """A winding band: sine centre line, half width 0.05..0.3, thinner towards one end."""
    x = torch.linspace(-1, 1, VERTICES // 2)
    turns = 1.5 + 5 * u[:, :1]
    swing = 1.2 * u[:, 1:2] / turns.sqrt()
    slope = swing * turns * torch.cos(turns * x + TAU * u[:, 2:3])
    ends = (1 - x.abs() ** 8).clamp_min(0.02).sqrt()
    width = (0.05 + 0.2 * u[:, 3:4]) * (1 - 0.5 * u[:, 2:3] * (x + 1) / 2) * ends * (1 + slope**2).sqrt()
    return _ribbon(swing * torch.sin(turns * x + TAU * u[:, 2:3]), width)


def capsule(u: torch.Tensor) -> torch.Tensor:
    """A rod with round ends, tapered by up to a half; its half width is 1 (scale y to taste)."""
    x = torch.linspace(-1, 1, VERTICES // 2)
    ends = (1 - x.abs() ** 6).clamp_min(0.02).sqrt()
    width = ends * (1 - 0.5 * u[:, :1] * (x + 1) / 2)
    return _ribbon(torch.zeros_like(width), width)


def _arc(extent: torch.Tensor, thickness: torch.Tensor) -> torch.Tensor:
    theta = torch.linspace(-0.5, 0.5, VERTICES // 2) * extent
    ray = torch.stack((theta.cos(), theta.sin()), -1)
    return _there_and_back(ray, ray * (1 - thickness[..., None]))


def ring(u: torch.Tensor) -> torch.Tensor:
    """A closed ring around a hole; its wall is 0.15..0.5 of the radius."""
    return _arc(torch.full((len(u), 1), TAU), 0.15 + 0.35 * u[:, :1])


def arc(u: torch.Tensor) -> torch.Tensor:
    """Part of a ring: 90..300 degrees, open to the left."""
    return _arc(TAU * (0.25 + 0.58 * u[:, :1]), 0.12 + 0.3 * u[:, 1:2])


def crescent(u: torch.Tensor) -> torch.Tensor:
    """A moon: a half circle, and a flatter arc back."""
    theta = torch.linspace(-0.5, 0.5, VERTICES // 2) * math.pi
    outer = torch.stack((theta.cos(), theta.sin()), -1).expand(len(u), -1, -1)
    flat = torch.stack((0.1 + 0.7 * u[:, :1].expand(-1, VERTICES // 2), torch.ones(len(u), VERTICES // 2)), -1)
    return _there_and_back(outer, outer * flat * 0.999) * torch.tensor([1.6, 1.0]) - torch.tensor([0.8, 0.0])


def wedge(u: torch.Tensor) -> torch.Tensor:
    """A sector of a disk around the x axis: 60..200 degrees."""
    return _arc(TAU * (0.17 + 0.38 * u[:, :1]), torch.full((len(u), 1), 0.999))


def half(u: torch.Tensor) -> torch.Tensor:
    """The lower half of a disk; u is not used."""
    x = torch.linspace(-1, 1, VERTICES // 2).expand(len(u), -1)
    bottom = torch.stack((x, (1 - x**2).clamp_min(0).sqrt() * 2 - 1), -1)
    top = torch.stack((x, torch.full_like(x, -1.0)), -1)
    return _there_and_back(top, bottom)


def leaf(u: torch.Tensor) -> torch.Tensor:
    """A lens with a pointed tip at the right, rounder at the left: leaf, drop, petal, fin."""
    x = torch.linspace(-1, 1, VERTICES // 2)
    left, right = 0.4 + 0.5 * u[:, :1], 0.7 + 0.8 * u[:, 1:2]
    width = (x + 1.001) ** left * (1.001 - x) ** right
    return _ribbon(torch.zeros_like(width), width / width.amax(1, keepdim=True))


def heart(u: torch.Tensor) -> torch.Tensor:
    """A heart, its notch 0.3..0.8 deep."""
    theta = _angles() + math.pi / 2
    return _polar(1 - (0.15 + 0.3 * u[:, :1]) * theta.sin() + 0.25 * theta.cos().abs() * u[:, 1:2])


def gear(u: torch.Tensor) -> torch.Tensor:
    """A wheel with 6..12 square teeth."""
    teeth = (6 + 7 * u[:, :1]).floor()
    wave = torch.sin(teeth * _angles() + TAU * u[:, 1:2])
    return _polar(1 + 0.2 * torch.tanh(4 * wave))


def cross(u: torch.Tensor) -> torch.Tensor:
    """A plus sign with arms of half width 0.2..0.5."""
    arm = 0.2 + 0.3 * u[:, :1]
    theta = _angles()
    c, s = theta.cos().abs(), theta.sin().abs()
    return _polar(torch.minimum(1 / torch.maximum(c, s), arm / torch.minimum(c, s).clamp_min(1e-3)))


def bean(u: torch.Tensor) -> torch.Tensor:
    """A kidney: an ellipse pressed in from one side."""
    theta = _angles()
    return _polar(1 - (0.2 + 0.45 * u[:, :1]) * torch.exp(-((theta - math.pi) ** 2) / 0.5))


FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        disk, box, trapezoid, triangle, squircle, blob, polygon, star, ribbon, capsule, ring, arc, crescent, wedge,
        half, leaf, heart, gear, cross, bean,
    )
}  # fmt: skip
INDEX = {name: index for index, name in enumerate(FAMILIES)}


def outlines(kind: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Outlines [N, 2, V] of families `kind` int64 [N] with shape numbers `u` [N, 4] in [0, 1)."""
    result = torch.empty(len(kind), 2, VERTICES)
    for index, family in enumerate(FAMILIES.values()):
        (chosen,) = (kind == index).nonzero(as_tuple=True)
        if len(chosen):
            result[chosen] = family(u[chosen]).mT
    return result

"""Outline families that the training world never shows: four uniform numbers u [N, 4] -> polygons [N, V, 2]."""

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
    there_and_back,
)  # fmt: skip


def heart(u: torch.Tensor) -> torch.Tensor:
    """A heart; the depth of its notch varies."""
    theta = angles()
    return polar(1 + (0.2 + 0.2 * u[:, :1]) * theta.sin() * (1.5 - theta.sin().abs()) - 0.4 * torch.exp(
        -((theta - 1.5 * math.pi) ** 2) / (0.05 + 0.15 * u[:, 1:2])))  # fmt: skip


def gear(u: torch.Tensor) -> torch.Tensor:
    """A wheel with 5..9 square teeth."""
    wave = torch.sin((5 + 5 * u[:, :1]).floor() * angles() + TAU * u[:, 1:2])
    return polar(1 + (0.12 + 0.12 * u[:, 2:3]) * torch.tanh(4 * wave))


def cross(u: torch.Tensor) -> torch.Tensor:
    """A plus sign with arms of half width 0.2..0.5."""
    a = 0.2 + 0.3 * u[:, 0]
    return corners([(-a, -1.0), (a, -1.0), (a, -a), (1.0, -a), (1.0, a), (a, a), (a, 1.0), (-a, 1.0), (-a, a),
                    (-1.0, a), (-1.0, -a), (-a, -a)], len(u))  # fmt: skip


def lshape(u: torch.Tensor) -> torch.Tensor:
    """Two wings at a right angle."""
    a, b = 0.9 * u[:, 0] - 0.4, 0.9 * u[:, 1] - 0.4
    return corners([(-1.0, -1.0), (a, -1.0), (a, b), (1.0, b), (1.0, 1.0), (-1.0, 1.0)], len(u))


def parallelogram(u: torch.Tensor) -> torch.Tensor:
    """A slanted box."""
    a = 0.9 - 0.9 * u[:, 0]
    return corners([(-1.0, -1.0), (a, -1.0), (1.0, 1.0), (-a, 1.0)], len(u))


def bean(u: torch.Tensor) -> torch.Tensor:
    """A kidney: a disk pressed in from one side."""
    return polar(1 - (0.25 + 0.4 * u[:, :1]) * torch.exp(-((angles() - math.pi) ** 2) / 0.6))


def cell(u: torch.Tensor) -> torch.Tensor:
    """Slightly dented ellipse, as cells and their nuclei are."""
    theta = angles()
    stretched = 1 / (1 + (0.2 + 0.9 * u[:, :1]) * (theta + TAU * u[:, 1:2]).sin() ** 2).sqrt()
    dents = 0.07 * torch.cos(3 * theta + TAU * u[:, 2:3]) + 0.05 * torch.cos(5 * theta + TAU * u[:, 3:4])
    return polar(stretched * (1 + dents))


def spiral(u: torch.Tensor) -> torch.Tensor:
    """One to two turns of a coil."""
    turn = torch.linspace(0, 1, VERTICES // 2)
    turns = 1.0 + 0.8 * u[:, :1]
    theta = TAU * (turns * turn + u[:, 1:2])
    ray = torch.stack((theta.cos(), theta.sin()), -1)
    radius, width = 0.2 + 0.68 * turn, (0.05 + 0.07 * u[:, 2:3]).expand(-1, VERTICES // 2)
    return there_and_back(ray * (radius + width)[..., None], ray * (radius - width)[..., None])


def zigzag(u: torch.Tensor) -> torch.Tensor:
    """A lightning band with 2..4 bends."""
    phase = (along() + 1) / 2 * (1 + (3 * u[:, :1]).floor() / 2) + u[:, 1:2]
    line = (0.3 + 0.4 * u[:, 2:3]) * (4 * (phase.frac() - 0.5).abs() - 1)
    return band(line, (0.06 + 0.2 * u[:, 3:4]) * round_ends(12).expand_as(line))


def wire(u: torch.Tensor) -> torch.Tensor:
    """A long thin line: two waves, half width 0.015..0.05."""
    x = along()
    first, second = 1.5 + 3 * u[:, :1], 4 + 4 * u[:, 1:2]
    line = 0.5 * torch.sin(first * x + TAU * u[:, 2:3]) + 0.12 * torch.sin(second * x + TAU * u[:, 3:4])
    slope = 0.5 * first * torch.cos(first * x + TAU * u[:, 2:3])
    return band(line, (0.015 + 0.035 * u[:, 1:2]) * (1 + slope**2).sqrt())


FOREIGN_SHAPES = (heart, gear, cross, lshape, parallelogram, bean, cell, spiral, zigzag, wire)

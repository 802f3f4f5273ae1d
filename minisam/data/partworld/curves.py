"""Building blocks of outlines: radii around a centre, corners, and bands along a line, all [N, V, 2]."""

from __future__ import annotations

import math

import torch

VERTICES = 48
TAU = 2 * math.pi


def angles() -> torch.Tensor:
    """Directions of the vertices of a star-convex outline, [V]."""
    return torch.arange(VERTICES) * (TAU / VERTICES)


def polar(radius: torch.Tensor) -> torch.Tensor:
    """Star-convex outline from its radii [N, V] at `angles()`, scaled so that the largest is 1."""
    theta = angles()
    radius = radius / radius.amax(1, keepdim=True)
    return torch.stack((radius * theta.cos(), radius * theta.sin()), -1)


def corners(points: list[tuple[torch.Tensor | float, torch.Tensor | float]], count: int) -> torch.Tensor:
    """Polygon with exact corners; each coordinate is a number or [N].  The number of corners divides V."""
    corner = torch.stack(
        [torch.stack([torch.as_tensor(c).expand(count) for c in point], -1) for point in points], 1
    )
    step = torch.arange(VERTICES // len(points)) / (VERTICES // len(points))
    along = torch.lerp(corner[:, :, None], corner.roll(-1, 1)[:, :, None], step[:, None])
    return along.flatten(1, 2)


def there_and_back(one_side: torch.Tensor, other_side: torch.Tensor) -> torch.Tensor:
    """Band between two lines [N, V/2, 2] that run the same way."""
    return torch.cat((one_side, other_side.flip(1)), 1)


def along() -> torch.Tensor:
    """Places of the vertices of a band along x, [V/2] from -1 to 1."""
    return torch.linspace(-1, 1, VERTICES // 2)


def band(line: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Band of half width [N, V/2] around y = line [N, V/2]; made to fit if it is taller than [-1, 1]."""
    x = along().expand_as(line)
    outline = there_and_back(torch.stack((x, line + width), -1), torch.stack((x, line - width), -1))
    tall = outline[..., 1].abs().amax(1).clamp_min(1.0)
    return outline / torch.stack((torch.ones_like(tall), tall), -1)[:, None]


def sector(extent: torch.Tensor, thickness: torch.Tensor) -> torch.Tensor:
    """Ring sector around the x axis: `extent` [N, 1] in radians, wall `thickness` [N, 1] from the rim inwards."""
    theta = torch.linspace(-0.5, 0.5, VERTICES // 2) * extent
    ray = torch.stack((theta.cos(), theta.sin()), -1)
    return there_and_back(ray, ray * (1 - thickness[..., None]))


def round_ends(power: int) -> torch.Tensor:
    """Half widths [V/2] of a rod with round ends, the rounder the smaller the power."""
    return (1 - along().abs() ** power).clamp_min(0.02).sqrt()

"""Smooth light over the whole image, at low resolution: lamp fall-off, drifting clouds of light, vignette, shadows.

Shadows: the map of painter's order is shifted along the lamp's direction; a pixel covered by something higher is in
its shadow.  The same with a small neighbourhood gives contact shadows next to edges.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from minisam.data.partworld.tape import Tape
from minisam.data.partworld.worlds import World


@dataclass
class Air:
    """Numbers of each image [B]: two light gradients, vignette, shadow and contact strength, shadow offset [B, 2]."""

    gradient: torch.Tensor
    waves: torch.Tensor
    vignette: torch.Tensor
    shadow: torch.Tensor
    contact: torch.Tensor
    offset: torch.Tensor


def sample_air(tape: Tape, world: World) -> Air:
    """Draw the light of every image."""
    u = tape.uniform(16)
    uneven = world.uneven
    angle = 2 * math.pi * u[:, 0]
    gradient = uneven * 0.5 * (u[:, 1] ** 2)[:, None] * torch.stack((angle.cos(), angle.sin()), -1)
    waves = torch.stack((uneven * 0.25 * u[:, 2] ** 2, 2 + 5 * u[:, 3], 2 + 5 * u[:, 4], 6.3 * u[:, 5]), -1)
    vignette = uneven * 0.6 * (2 * u[:, 6] - 1).clamp_min(0)
    shadow = world.shadow * 0.7 * (1.6 * u[:, 7] - 0.6).clamp_min(0)
    contact = world.shadow * 0.5 * u[:, 8]
    reach = 0.03 + 0.12 * u[:, 9]
    cast = 2 * math.pi * u[:, 10]
    offset = reach[:, None] * torch.stack((cast.cos(), cast.sin()), -1)
    return Air(gradient, waves, vignette, shadow, contact, offset)


@functools.lru_cache(maxsize=16)
def interpolation(size: int, small: int, device: str) -> torch.Tensor:
    """Linear interpolation as a matrix [size, small]."""
    return F.interpolate(torch.eye(small)[None], size=size, mode="linear")[0].T.contiguous().to(device)


def enlarge(small: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear enlargement of maps [..., s, s] to [..., size, size], as two matrix products."""
    matrix = interpolation(size, small.shape[-1], str(small.device))
    return matrix @ small @ matrix.T


def air_map(air: Air, depth: torch.Tensor, images: range) -> torch.Tensor:
    """Brightness [n, s, s] from painter's order `depth` int32 [n, S, S], with s of at least 32."""
    device = depth.device
    step = max(2, depth.shape[1] // 64)
    height = depth[:, ::step, ::step].float()[:, None]
    n, s = len(height), height.shape[-1]

    def numbers(values: torch.Tensor) -> torch.Tensor:
        return values[images.start : images.stop].to(device)[..., None, None]

    line = (torch.arange(s, device=device) + 0.5) / s * 2 - 1
    gx, gy = numbers(air.gradient).unbind(1)
    swing, fx, fy, phase = numbers(air.waves).unbind(1)
    waves = swing * torch.sin(fx * line + phase) * torch.cos(fy * line[:, None] - phase)
    rim = numbers(air.vignette) * (line**2 + line[:, None] ** 2) / 2
    light = (1 + gx * line + gy * line[:, None] + waves) * (1 - rim)

    shift_x, shift_y = numbers(2 * air.offset).unbind(1)
    grid = torch.stack(((line - shift_x).expand(n, s, s), (line[:, None] - shift_y).expand(n, s, s)), -1)
    shifted = F.grid_sample(height, grid, mode="nearest", padding_mode="border", align_corners=False)
    around = F.pad(height, (2, 2, 2, 2), mode="replicate")
    beside = torch.maximum(around[:, :, 2:-2, :-4], around[:, :, 2:-2, 4:])
    beside = torch.maximum(beside, torch.maximum(around[:, :, :-4, 2:-2], around[:, :, 4:, 2:-2]))
    hidden = torch.cat((shifted > height, beside > height), 1).float()
    box = torch.full((2, 1, 5, 5), 1 / 25, device=device)
    cast, near = F.conv2d(F.pad(hidden, (2, 2, 2, 2), mode="replicate"), box, groups=2).unbind(1)
    dark = (1 - numbers(air.shadow) * cast) * (1 - numbers(air.contact) * near)
    return (light * dark).clamp_(0.15, 2.0)

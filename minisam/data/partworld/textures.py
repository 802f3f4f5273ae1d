"""Texture families of the training world: generator -> square tile [DRAWN, DRAWN] that wraps around, in [0, 1]."""

from __future__ import annotations

import math

import torch

DRAWN = 128


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of every pixel, each [DRAWN, DRAWN], from 0 to just under 1."""
    side = torch.arange(DRAWN) / DRAWN
    return side[None, :].expand(DRAWN, DRAWN), side[:, None].expand(DRAWN, DRAWN)


def noise(generator: torch.Generator, slope: float, stretch: float = 1.0) -> torch.Tensor:
    """1/f^slope noise; stretch > 1 draws it out along x."""
    fx = torch.fft.rfftfreq(DRAWN) * DRAWN * stretch
    fy = torch.fft.fftfreq(DRAWN) * DRAWN
    frequency = (fx[None] ** 2 + fy[:, None] ** 2).sqrt().clamp_min(1.0)
    band = torch.exp(-((frequency / (0.35 * DRAWN * max(stretch, 1.0))) ** 4))
    white = torch.fft.rfft2(torch.randn(DRAWN, DRAWN, generator=generator))
    return torch.fft.irfft2(white * band / frequency**slope, s=(DRAWN, DRAWN))


def uniform(value: torch.Tensor) -> torch.Tensor:
    """Mean 1/2 and two standard deviations to either side inside [0, 1]."""
    value = value - value.mean()
    return (0.5 + 0.25 * value / value.std().clamp_min(1e-6)).clamp(0, 1)


def draw(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def warped(generator: torch.Generator, amount: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y, moved by smooth noise of up to half of `amount`."""
    x, y = grid()
    return x + amount * (uniform(noise(generator, 2.0)) - 0.5), y + amount * (
        uniform(noise(generator, 2.0)) - 0.5
    )


def plain(generator: torch.Generator) -> torch.Tensor:
    return 0.5 + 0.08 * (uniform(noise(generator, 1.5)) - 0.5)


def cloudy(generator: torch.Generator) -> torch.Tensor:
    return uniform(noise(generator, 1.6 + 0.8 * draw(generator)))


def rough(generator: torch.Generator) -> torch.Tensor:
    return uniform(noise(generator, 0.6 + 0.6 * draw(generator)))


def grassy(generator: torch.Generator) -> torch.Tensor:
    return uniform(noise(generator, 0.9, stretch=0.2 + 0.2 * draw(generator)))


def brushed(generator: torch.Generator) -> torch.Tensor:
    return uniform(noise(generator, 0.8, stretch=6.0))


def wave(phase: torch.Tensor, sharpness: float) -> torch.Tensor:
    return 0.5 + 0.5 * torch.tanh(sharpness * torch.sin(2 * math.pi * phase)) / math.tanh(sharpness)


def striped(generator: torch.Generator) -> torch.Tensor:
    x, _ = warped(generator, 0.03 * draw(generator))
    return wave(x * int(3 + 12 * draw(generator)), 0.5 + 5 * draw(generator))


def checked(generator: torch.Generator) -> torch.Tensor:
    x, y = grid()
    n, sharp = int(3 + 7 * draw(generator)), 6.0
    return 0.5 + 0.5 * (2 * wave(x * n, sharp) - 1) * (2 * wave(y * n, sharp) - 1)


def plaid(generator: torch.Generator) -> torch.Tensor:
    x, y = grid()
    n, m = int(2 + 6 * draw(generator)), int(2 + 6 * draw(generator))
    return 0.25 * (wave(x * n, 3) + wave(y * n, 3) + wave(x * m * 3, 1) + wave(y * m * 3, 1))


def woody(generator: torch.Generator) -> torch.Tensor:
    x, _ = warped(generator, 0.35)
    return (0.75 * wave(x * int(4 + 6 * draw(generator)), 0.7) + 0.25 * brushed(generator).T).clamp(0, 1)


def nearest(generator: torch.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance to the nearest of `count` random points on the torus, and which one it is."""
    x, y = warped(generator, 0.03)
    points = torch.rand(count, 2, generator=generator)
    dx = (x.reshape(-1, 1) - points[:, 0] + 0.5).remainder(1) - 0.5
    dy = (y.reshape(-1, 1) - points[:, 1] + 0.5).remainder(1) - 0.5
    distance, index = (dx**2 + dy**2).min(1)
    return distance.sqrt().reshape(DRAWN, DRAWN) * math.sqrt(count), index.reshape(DRAWN, DRAWN)


def cellular(generator: torch.Generator) -> torch.Tensor:
    count = int(12 + 60 * draw(generator))
    distance, index = nearest(generator, count)
    return (0.8 * torch.rand(count, generator=generator)[index] + 0.25 - 0.15 * distance).clamp(0, 1)


def spotted(generator: torch.Generator) -> torch.Tensor:
    distance, _ = nearest(generator, int(10 + 60 * draw(generator)))
    return torch.sigmoid((distance - 0.35) * 25)


def mottled(generator: torch.Generator) -> torch.Tensor:
    return wave(1.2 * cloudy(generator) + 0.3 * rough(generator), 2.0)


def dead_leaves(generator: torch.Generator) -> torch.Tensor:
    """Opaque discs of random greys; their density falls as radius⁻³, 0.03 to 0.3 (Lee, Mumford and Huang 2001)."""
    x, y = grid()
    tile = torch.zeros(DRAWN, DRAWN)
    for grey, cx, cy, u in torch.rand(220, 4, generator=generator).tolist():
        radius = 1 / math.sqrt(1 / 0.03**2 - u * (1 / 0.03**2 - 1 / 0.3**2))
        dx, dy = (x - cx + 0.5).remainder(1) - 0.5, (y - cy + 0.5).remainder(1) - 0.5
        tile[dx**2 + dy**2 < radius**2] = grey
    return tile


TRAIN_TEXTURES = (
    plain, cloudy, rough, grassy, brushed, striped, checked, plaid, woody, cellular, spotted, mottled, dead_leaves,
)  # fmt: skip

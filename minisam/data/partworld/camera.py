"""From colours to a photograph: point spread, defocus, sensor noise, eight bits."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from minisam.data.partworld.air import enlarge
from minisam.data.partworld.batch import MAX_NODES
from minisam.data.partworld.plan import NODE_SLOTS
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.worlds import World

NOISE_SLACK = 128


@dataclass
class Camera:
    """Numbers of each image [B]: side taps of the two blurs, defocus of the background, noise, where it is read."""

    near_tap: torch.Tensor
    far_tap: torch.Tensor
    defocus: torch.Tensor
    noise: torch.Tensor
    corner: torch.Tensor


def sample_camera(tape: Tape, world: World) -> Camera:
    """Draw a camera for every image; half of them are sharp, and a quarter blur the background."""
    u = tape.uniform(8)
    near = 0.10 + 0.18 * u[:, 0]
    far = world.blur * 0.3 * (2 * u[:, 1] - 1).clamp_min(0)
    defocus = torch.where(u[:, 2] < 0.25 * world.blur, 0.4 + 0.6 * u[:, 3], 0.0)
    noise = world.noise * 14 * u[:, 4] ** 2
    corner = (u[:, 6:8] * NOISE_SLACK).long()
    return Camera(near, far, defocus, noise, corner)


@functools.lru_cache(maxsize=8)
def noise_field(side: int, device: str) -> torch.Tensor:
    """White noise [3, side, side], half of its variance shared by the three colours; read at a random corner."""
    generator = torch.Generator().manual_seed(20231)
    own = torch.randn(3, side, side, generator=generator)
    return (0.7 * (own + torch.randn(1, side, side, generator=generator))).to(device)


def spread(image: torch.Tensor, tap: torch.Tensor, reach: int) -> torch.Tensor:
    """Blur along both axes, in place, with taps (t, 1 - 2t, t) at distance `reach`; variance 2 t reach^2 per axis.

    Along x the rows are taken as one long line: the outermost columns mix with their neighbour row's.
    """
    flat = image.flatten(1)
    for step in (reach, reach * image.shape[-1]):
        sides = (flat[:, 2 * step :] + flat[:, : -2 * step]).mul_(tap)
        flat[:, step:-step].mul_(1 - 2 * tap).add_(sides)
    return image


def photograph(camera: Camera, image: torch.Tensor, node: torch.Tensor, images: range) -> torch.Tensor:
    """Bytes [n, 3, S, S] from colours `image` (overwritten) and the node map."""
    device = image.device
    rows = slice(images.start, images.stop)
    n, _, S, _ = image.shape

    def numbers(values: torch.Tensor) -> torch.Tensor:
        return values[rows].to(device)[:, None]

    if bool((camera.defocus[rows] > 0).any()):
        soft = enlarge(F.avg_pool2d(image, 4), S)
        behind = (node.remainder(NODE_SLOTS) >= MAX_NODES).float()[:, None]
        image = torch.lerp(image, soft, behind * numbers(camera.defocus)[..., None, None])
    image = spread(image, numbers(camera.near_tap), 1)
    if bool((camera.far_tap[rows] > 0).any()):
        image = spread(image, numbers(camera.far_tap), 2)
    noise = noise_field(S + NOISE_SLACK, str(device))
    for i, (top, left) in enumerate(camera.corner[rows].tolist()):
        field = noise[:, top : top + S, left : left + S]
        image[i].add_(field, alpha=float(camera.noise[images.start + i]))
    return image.clamp_(0, 255).to(torch.uint8)

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


def sample_camera(tape: Tape, world: World, size: int) -> Camera:
    """Draw a camera for every image; half of them are sharp, and a quarter blur the background.

    Images of less than 256 px are blurred less, as a photograph is when it is scaled down.
    """
    u = tape.uniform(8)
    sharper = min(1.0, size / 256)
    near = 0.08 + 0.17 * sharper * u[:, 0]
    far = world.blur * 0.25 * sharper**2 * (2 * u[:, 1] - 1).clamp_min(0)
    defocus = torch.where(u[:, 2] < 0.25 * world.blur, 0.4 + 0.6 * u[:, 3], 0.0)
    noise = world.noise * 12 * u[:, 4] ** 3
    corner = (u[:, 6:8] * NOISE_SLACK).long()
    return Camera(near, far, defocus, noise, corner)


@functools.lru_cache(maxsize=8)
def noise_field(side: int, device: str) -> torch.Tensor:
    """White noise [3, side, side], half of its variance shared by the three colours; read at a random corner."""
    generator = torch.Generator().manual_seed(20231)
    own = torch.randn(3, side, side, generator=generator)
    return (0.7 * (own + torch.randn(1, side, side, generator=generator))).to(device)


def spread(image: torch.Tensor, tap: torch.Tensor, reach: int) -> torch.Tensor:
    """Blur along both axes with taps (t, 1 - 2t, t) at distance `reach`; t is at most 1/4, the variance 2 t reach^2.

    A step (1 - w, w) forwards and one backwards make the three taps, with w (1 - w) = t.  The image is processed as
    one long line, and the outermost pixels are then copied from their inner neighbours.
    """
    w = (1 - (1 - 4 * tap).sqrt()) / 2
    flat = image.flatten(1)
    for step in (reach, reach * image.shape[-1]):
        forwards = torch.lerp(flat[:, :-step], flat[:, step:], w)
        torch.lerp(forwards[:, step:], forwards[:, :-step], w, out=flat[:, step:-step])
    for axis in (2, 3):
        size = image.shape[axis]
        image.narrow(axis, 0, reach).copy_(image.narrow(axis, reach, 1))
        image.narrow(axis, size - reach, reach).copy_(image.narrow(axis, size - reach - 1, 1))
    return image


def defocus(image: torch.Tensor, node: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Blend the background of images [n, 3, S, S] towards a coarse copy, by `strength` [n]."""
    size = image.shape[-1]
    soft = enlarge(F.avg_pool2d(image, 2 + 2 * (size >= 192)), size)
    behind = (node.remainder(NODE_SLOTS) >= MAX_NODES) * strength[:, None, None]
    return torch.lerp(image, soft, behind[:, None])


def photograph(camera: Camera, image: torch.Tensor, node: torch.Tensor, images: range) -> torch.Tensor:
    """Bytes [n, 3, S, S] from colours `image` (overwritten) and the node map."""
    device = image.device
    rows = slice(images.start, images.stop)
    size = image.shape[-1]

    def where_used(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = (values[rows] > 0).nonzero().flatten()
        return chosen.to(device), values[rows][chosen].to(device)

    chosen, strength = where_used(camera.defocus)
    if len(chosen):
        image[chosen] = defocus(image[chosen], node[chosen], strength)
    image = spread(image, camera.near_tap[rows].to(device)[:, None], 1)
    chosen, far = where_used(camera.far_tap)
    if len(chosen):
        image[chosen] = spread(image[chosen], far[:, None], 2)
    noise = noise_field(size + NOISE_SLACK, str(device))
    for i, (top, left) in enumerate(camera.corner[rows].tolist()):
        field = noise[:, top : top + size, left : left + size]
        image[i].add_(field, alpha=float(camera.noise[images.start + i]))
    return image.clamp_(0, 255).to(torch.int16).to(torch.uint8)

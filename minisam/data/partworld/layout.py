"""Where objects go: dead leaves with radii from a power law, painted back to front.

Legend: b images, o objects (back to front).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.worlds import World

OBJECTS = 20
BACKDROPS = 5
R2_SEQUENCE = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 low-discrepancy sequence, which spreads points evenly over the square."""


@dataclass
class Layout:
    """Objects of a batch, all lengths as fractions of the image side.

    Attributes:
        template: int64 [B, O].
        exists: bool [B, O].
        centre: [B, O, 2].
        frame: [B, O, 2, 2], from template coordinates to the image.
        bend: [B, O], how far a template is bent into a banana.
    """

    template: torch.Tensor
    exists: torch.Tensor
    centre: torch.Tensor
    frame: torch.Tensor
    bend: torch.Tensor


def sample_radii(tape: Tape, world: World, knobs: Knobs) -> tuple[torch.Tensor, torch.Tensor]:
    """Existence and radius of every object, [B, O]; roughly from large to small.

    Three kinds of scene: crowded (radii of density r^-3), middling (r^-2) and a few large objects (log-uniform).
    """
    style = tape.uniform(1)
    crowd, few = world.crowded, 1 - world.few
    kind = (style >= crowd).long() + (style >= few).long()
    low = torch.tensor(world.radius_low)[kind]
    high = torch.tensor(world.radius_high)[kind]
    least = torch.tensor(world.count_low)[kind]
    most = torch.tensor(world.count_high)[kind]
    count = (least + tape.uniform(1) * (most + 1 - least)).floor()
    u = tape.uniform(OBJECTS)
    cubed = (low**-2 - u * (low**-2 - high**-2)) ** -0.5
    squared = 1 / (1 / low - u * (1 / low - 1 / high))
    radius = torch.where(kind == 0, cubed, torch.where(kind == 1, squared, low * (high / low) ** u))
    radius = (radius * knobs.object_scale).clamp(0.015, 0.8)
    order = (radius * tape.between(0.4, 1.6, OBJECTS)).argsort(dim=1, descending=True, stable=True)
    exists = torch.arange(OBJECTS) < count
    return exists.gather(1, order), radius.gather(1, order)


def sample_centres(tape: Tape, knobs: Knobs) -> torch.Tensor:
    """Centres [B, O, 2]: evenly spread without occlusion, drawn towards one focus with much of it."""
    even = (torch.arange(1, OBJECTS + 1)[:, None] * torch.tensor(R2_SEQUENCE) + tape.uniform(1, 2)).frac()
    loose = tape.uniform(OBJECTS, 2)
    centre = -0.04 + 1.08 * torch.lerp(even, loose, min(1.0, 2 * knobs.occlusion))
    focus = tape.between(0.25, 0.75, 1, 2)
    return torch.lerp(centre, focus.expand_as(centre), max(0.0, 1.6 * (knobs.occlusion - 0.5)))


def sample_layout(tape: Tape, world: World, knobs: Knobs) -> Layout:
    """Choose templates, and give each object a position, a size, an angle, a stretch and a bend."""
    exists, radius = sample_radii(tape, world, knobs)
    centre = sample_centres(tape, knobs)
    template = choose_templates(tape, world, knobs)
    upright = torch.tensor([t.upright for t in world.templates])[template]
    aspect = torch.tensor([t.aspect for t in world.templates])[template]
    tilt = 2 * tape.uniform(OBJECTS) - 1
    angle = torch.where(upright, 0.4 * math.pi * tilt**5, math.pi * tilt)
    stretch = (aspect * (2 * tape.uniform(OBJECTS) - 1)).exp()
    mirror = torch.where(tape.chance(0.5, OBJECTS), 1.0, -1.0)
    shear = torch.where(upright, 0.1, 0.4) * (2 * tape.uniform(OBJECTS) - 1)
    wide, tall = radius * stretch.sqrt() * mirror, radius / stretch.sqrt()
    c, s = angle.cos(), angle.sin()
    axis_x = torch.stack((c * wide, s * wide), -1)
    axis_y = torch.stack((-s * tall, c * tall), -1) + shear[..., None] * axis_x
    bend = torch.where(upright, 0.3, 0.8) * (2 * tape.uniform(OBJECTS) - 1) ** 3
    return Layout(template, exists, centre, torch.stack((axis_x, axis_y), -1), bend)


def choose_templates(tape: Tape, world: World, knobs: Knobs) -> torch.Tensor:
    """Template indices [B, O]; thin templates with probability `knobs.thinness`, if the world has both kinds."""
    thin = torch.tensor([t.thin for t in world.templates])
    wants_thin = tape.chance(knobs.thinness, OBJECTS)
    u = tape.uniform(OBJECTS)
    groups = [group for wanted in (False, True) if len(group := (thin == wanted).nonzero().flatten())]
    picks = [group[(u * len(group)).long()] for group in groups]
    return picks[0] if len(picks) == 1 else torch.where(wants_thin, picks[1], picks[0])

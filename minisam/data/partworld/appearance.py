"""Appearance parameters of every node: a colour ramp, the position of its texture, and its lighting.

Legend: b images, k nodes of an image (labelled ones, then the background, then its backdrops).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from minisam.data.partworld.bank import TILE
from minisam.data.partworld.batch import MAX_NODES
from minisam.data.partworld.knobs import Knobs
from minisam.data.partworld.layout import BACKDROPS, Layout
from minisam.data.partworld.palette import OPPONENT_TO_RGB, sample_paint
from minisam.data.partworld.pieces import Pieces
from minisam.data.partworld.plan import NODE_SLOTS, Plan
from minisam.data.partworld.tape import Tape
from minisam.data.partworld.templates import MAX_PIECES
from minisam.data.partworld.worlds import World

SHADES = 32


@dataclass
class Appearance:
    """The values that a pixel looks up by its node.

    Attributes:
        ramp: [3, B, K, SHADES], colour 0..255 against texture value.
        texture: complex [3, B, K]; u + iv = a x + b y + c, x and y in pixels, u and v in texels.
        first_texel: int32 [B, K], where the node's tile starts in the bank.
        shading: [6, B, K]; 1, x, y, x^2, x y, y^2 (x, y in fractions of the image side).
        gloss: [B, K], strength of the highlight where the shading is bright.
        colour: [B, K, 3], the ramp's middle in opponent space, for captions; a grey-scale image has no hues.
    """

    ramp: torch.Tensor
    texture: torch.Tensor
    first_texel: torch.Tensor
    shading: torch.Tensor
    gloss: torch.Tensor
    colour: torch.Tensor


def by_node(values: torch.Tensor, backs: torch.Tensor, pieces: Pieces, plan: Plan) -> torch.Tensor:
    """Spread values of slots [B, O, P, ...] and of backdrops [B, 1 + BACKDROPS, ...] over nodes [B, K, ...]."""
    b, o, p = pieces.owns_node.nonzero(as_tuple=True)
    table = values.new_zeros(len(values), NODE_SLOTS, *values.shape[3:])
    table[b, plan.slot_node[b, o, p]] = values[b, o, p]
    table[:, MAX_NODES:] = backs
    return table


def sample_appearance(
    tape: Tape, world: World, knobs: Knobs, layout: Layout, pieces: Pieces, plan: Plan
) -> Appearance:
    """Draw all appearance numbers of a batch."""
    paint = sample_paint(tape, world, layout, pieces)
    colour = by_node(paint.slots, paint.backs, pieces, plan)
    colour[..., 0] = colour[..., 0].clamp(0.02, 0.98)
    back = colour[:, MAX_NODES : MAX_NODES + 1]
    colour = back + (colour - back) * knobs.contrast
    chosen = by_node(paint.slot_texture, paint.back_texture, pieces, plan)
    amplitude = world.texture_strength * tape.uniform(NODE_SLOTS) ** 1.5 * min(1.0, 0.3 + knobs.contrast)
    shading, gloss = sample_shading(tape, world, layout, pieces, plan)
    first_texel = ((chosen * len(world.textures)).floor() * TILE**2).to(torch.int32)
    ramp, painted = ramps(tape, world, colour, amplitude)
    return Appearance(ramp, place_textures(chosen), first_texel, shading, gloss, painted)


def ramps(
    tape: Tape, world: World, colour: torch.Tensor, amplitude: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour ramps [3, B, K, SHADES]: base + slope v + tone max(v, 0), v = -1..1; a third have a second hue.

    Also the base in opponent space, [B, K, 3]: `colour` under the light of the image, without its hue where the
    image is grey-scale.
    """
    u = tape.uniform(NODE_SLOTS, 4)
    lift = 0.45 * (1 - 2 * (u[..., 0] < 0.5).float())
    hue = world.chroma * (u[..., 2:4] - 0.5)
    slope = torch.cat((lift[..., None], 0.15 * hue), -1) * amplitude[..., None]
    tone = (
        torch.cat((torch.zeros_like(lift)[..., None], hue * (u[..., 1:2] < 0.35)), -1) * amplitude[..., None]
    )
    in_colour = torch.where(tape.chance(world.grey, 1), 0.0, 1.0)[..., None]
    cast = 0.08 * world.chroma * (2 * tape.uniform(1, 2) - 1)
    keep = torch.cat((torch.ones_like(in_colour), in_colour, in_colour), -1)
    base = (colour + torch.cat((torch.zeros_like(in_colour), cast), -1)) * keep
    value = torch.linspace(-1, 1, SHADES)
    middle, slope, tone = (
        ((t * keep) @ OPPONENT_TO_RGB).movedim(-1, 0)[..., None] for t in (base, slope, tone)
    )
    return torch.addcmul(middle + slope * value, tone, value.clamp_min(0)).clamp_(0, 1).mul_(255), base


def place_textures(chosen: torch.Tensor) -> torch.Tensor:
    """Texture coordinates, complex [3, B, K]; nodes with the same texture share its position."""
    angle = 2 * math.pi * (chosen * 977).frac()
    zoom = 0.5 + 1.5 * (chosen * 331).frac()
    squash = 0.6 + 0.4 * (chosen * 571).frac()
    c, s = zoom * angle.cos(), zoom * angle.sin()
    start_u, start_v = TILE * (chosen * 211).frac(), TILE * (chosen * 103).frac()
    return torch.complex(torch.stack((c, -s, start_u)), torch.stack((s * squash, c * squash, start_v)))


def sample_shading(
    tape: Tape, world: World, layout: Layout, pieces: Pieces, plan: Plan
) -> tuple[torch.Tensor, torch.Tensor]:
    """Light on each node: a gradient along the lamp and a dome over the object, both quadratic in the image.

    With q = M^-1 (x - centre) in the object's frame, light = 1 + g (lamp . q) + k (1/3 - |q|^2).
    """
    u = tape.uniform(NODE_SLOTS, 4)
    angle = 2 * math.pi * tape.uniform(1)
    (a, b), (c, d) = ((row[..., 0], row[..., 1]) for row in layout.frame.unbind(-2))
    inverse = torch.stack((d, -b, -c, a), -1) / (a * d - b * c)[..., None]
    geometry = torch.cat((inverse, layout.centre), -1)[:, :, None].expand(-1, -1, MAX_PIECES, -1)
    whole_image = torch.tensor([1.2, 0.0, 0.0, 1.2, 0.5, 0.5]).expand(len(u), 1 + BACKDROPS, 6)
    a, b, c, d, x, y = by_node(geometry, whole_image, pieces, plan).unbind(-1)
    dome = world.relief * 0.7 * u[..., 0] ** 1.5
    gradient = world.relief * 0.55 * (2 * u[..., 1] - 0.6) * (a * d - b * c).abs().sqrt()
    gx, gy = gradient * angle.cos(), gradient * angle.sin()
    xx, xy, yy = dome * (a * a + c * c), 2 * dome * (a * b + c * d), dome * (b * b + d * d)
    constant = 1 + dome / 3 - gx * x - gy * y - xx * x * x - xy * x * y - yy * y * y
    shading = torch.stack((constant, gx + 2 * xx * x + xy * y, gy + 2 * yy * y + xy * x, -xx, -xy, -yy))
    gloss = torch.where(u[..., 2] < 0.3, 1000 * world.relief * u[..., 3], 0.0)
    gloss[:, MAX_NODES:] = 0
    return shading, gloss

"""Deferred shading: every pixel looks up its node's numbers once; the cost is O(pixels), not O(pixels x nodes).

colour = ramp(texture(u, v)) * light(x, y) * air(x, y), where `air` is a smooth map of shadows and illumination.
"""

from __future__ import annotations

import torch

from minisam.data.partworld.air import enlarge
from minisam.data.partworld.appearance import SHADES, Appearance
from minisam.data.partworld.bank import TILE

HALF_FROM = 192
"""From this image side on, light is computed at half resolution: it is smooth, and colours provide the edges."""


def shade(
    look: Appearance, bank: torch.Tensor, node: torch.Tensor, air: torch.Tensor, images: range
) -> torch.Tensor:
    """Colours [n, 3, S, S], about 0..255.

    Args:
        look: appearance of all nodes of the batch.
        bank: texture bank, uint8 [tiles * TILE * TILE].
        node: int32 [n, S, S], image * NODE_SLOTS + node.
        air: [n, s, s], smooth brightness at low resolution.
        images: which images of the batch these are.
    """
    n, S, _ = node.shape
    shades = texture_values(look, bank, node, images).add_(node.reshape(-1), alpha=SHADES)
    step = 2 if S >= HALF_FROM and S % 2 == 0 else 1
    light, glint = light_and_glint(look, node[:, ::step, ::step].contiguous(), air, images)
    if step == 2:
        light, glint = (half.repeat_interleave(2, 2).repeat_interleave(2, 1) for half in (light, glint))
    image = torch.empty(n, 3, S, S, device=node.device)
    for channel, ramp in enumerate(look.ramp):
        shown = lookup(ramp, images, shades).reshape(n, S, S)
        torch.addcmul(glint, shown, light, out=image[:, channel])
    return image


def lookup(table: torch.Tensor, images: range, index: torch.Tensor) -> torch.Tensor:
    """Entries of the chunk's rows of `table` [B, ...], taken as one line, at `index`; same shape as `index`."""
    column = table[images.start : images.stop].reshape(-1).to(index.device)
    return column.index_select(0, index.reshape(-1)).reshape(index.shape)


def texture_values(look: Appearance, bank: torch.Tensor, node: torch.Tensor, images: range) -> torch.Tensor:
    """Shade number 0..SHADES-1 of each pixel, int32 [n * S * S].

    A texture coordinate is one complex number u + iv = a x + b y + c, and one look-up returns two coefficients.
    """
    n, S, _ = node.shape
    x = torch.arange(S, dtype=torch.float32, device=node.device) + 0.5
    a, b, c = (torch.view_as_real(lookup(table, images, node)).view(n, S, 2 * S) for table in look.texture)
    uv = c.addcmul_(a, x.repeat_interleave(2)).addcmul_(b, x[:, None])
    uv = uv.to(torch.int32).bitwise_and_(TILE - 1).view(-1, 2)
    texel = torch.add(uv[:, 0], uv[:, 1], alpha=TILE).add_(lookup(look.first_texel, images, node).view(-1))
    return bank.index_select(0, texel).to(torch.int32)


def light_and_glint(
    look: Appearance, node: torch.Tensor, air: torch.Tensor, images: range
) -> tuple[torch.Tensor, torch.Tensor]:
    """Brightness of each pixel, about 0..2, and the highlight added to every colour; both [n, s, s]."""
    s = node.shape[-1]
    x = (torch.arange(s, dtype=torch.float32, device=node.device) + 0.5) / s
    y = x[:, None]
    one, kx, ky, kxx, kxy, kyy = (lookup(table, images, node) for table in look.shading)
    light = kx.addcmul_(kxx, x).addcmul_(kxy, y).mul_(x).add_(one).add_(ky.addcmul_(kyy, y).mul_(y))
    light.clamp_(0.25, 1.8)
    glint = (light - 1.1).clamp_min_(0).square_().mul_(lookup(look.gloss, images, node))
    return light.mul_(enlarge(air, s)), glint

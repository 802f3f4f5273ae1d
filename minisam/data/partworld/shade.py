"""Deferred shading: every pixel looks its node's numbers up once, so the cost is O(pixels), not O(pixels x nodes).

colour = ramp(texture(u, v)) * light(x, y) * air(x, y), where `air` is a smooth map of shadows and illumination.
"""

from __future__ import annotations

import torch

from minisam.data.partworld.air import enlarge
from minisam.data.partworld.appearance import SHADES, Appearance
from minisam.data.partworld.bank import TILE


def shade(
    look: Appearance, bank: torch.Tensor, node: torch.Tensor, air: torch.Tensor, images: range
) -> torch.Tensor:
    """Colours [n, 3, S, S], about 0..255.

    Args:
        look: appearance of all nodes of the batch.
        bank: texture bank, uint8 [tiles * TILE * TILE].
        node: int32 [n, S, S], image * NODE_SLOTS + node.
        air: [n, 1, s, s], smooth brightness at low resolution.
        images: which images of the batch these are.
    """
    n, S, _ = node.shape
    flat = node.reshape(-1)
    x = torch.arange(S, dtype=torch.float32, device=node.device) + 0.5
    y = x[:, None]

    def per_pixel(values: torch.Tensor) -> torch.Tensor:
        column = values[images.start : images.stop].reshape(-1).to(node.device)
        return column.index_select(0, flat).reshape(n, S, S)

    def affine(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return per_pixel(c).addcmul_(per_pixel(a), x).addcmul_(per_pixel(b), y)

    a, b, c, d, e, f, tile = look.texture
    first_texel = (tile * TILE**2).to(torch.int32)
    texel = affine(d, e, f).to(torch.int32).bitwise_and_(TILE - 1).mul_(TILE)
    texel.add_(affine(a, b, c).to(torch.int32).bitwise_and_(TILE - 1)).add_(per_pixel(first_texel))
    index = bank.index_select(0, texel.reshape(-1)).to(torch.int32).add_(flat, alpha=SHADES)

    xs, ys = x / S, y / S
    k0, kx, ky, kxx, kxy, kyy = look.shading
    light = (
        per_pixel(kx).addcmul_(per_pixel(kxx), xs).addcmul_(per_pixel(kxy), ys).mul_(xs).add_(per_pixel(k0))
    )
    light.add_(per_pixel(ky).addcmul_(per_pixel(kyy), ys).mul_(ys)).clamp_(0.25, 1.8)
    glint = (light - 1.1).clamp_min_(0).square_().mul_(per_pixel(look.gloss))
    light.mul_(enlarge(air[:, 0], S))

    image = torch.empty(n, 3, S, S, device=node.device)
    for channel, ramp in enumerate(look.ramp):
        column = ramp[images.start : images.stop].reshape(-1).to(node.device)
        shown = column.index_select(0, index).reshape(n, S, S)
        torch.addcmul(glint, shown, light, out=image[:, channel])
    return image

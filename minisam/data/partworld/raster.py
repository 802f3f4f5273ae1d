"""Exact scanline rasteriser: every polygon is one bit, every pixel one integer.

A polygon that owns bit k adds 2^k where a row of pixel centres enters it, and subtracts 2^k where the row leaves. A
running sum over the flat canvas then holds, at each pixel, the set of polygons that cover it. Painter's order is the
order of the bits: the topmost polygon is the highest bit set.  The cost is that of the outlines, O(rows), plus one
running sum over the pixels, for any number of polygons.  With other weights than powers of two the sum can compute,
for example, the absorption of an X-ray.

Row j samples y = j + 1/2, and column i samples x = i + 1/2.
"""

from __future__ import annotations

import torch

MAX_BITS = 62


def rasterise(
    vertices: torch.Tensor, weight: torch.Tensor, start: torch.Tensor, box: torch.Tensor, canvas_size: int
) -> torch.Tensor:
    """Sum the weights of the polygons over each pixel of a flat canvas.

    Args:
        vertices: [N, 2, V] corners (x, y) in pixels of closed polygons that do not cross themselves.
        weight: int32 or int64 [N]; 1 << k to own bit k (int64: k < 62).
        start: int64 [N], where the polygon's window starts in the canvas.
        box: int64 [N, 4], the window (x0, y0, x1, y1) that clips the polygon; its rows follow each other.
        canvas_size: number of pixels of the canvas.

    Returns:
        [canvas_size] of the type of `weight`.
    """
    N, _, V = vertices.shape
    device = vertices.device
    x0, y0 = vertices.unbind(1)
    x1, y1 = x0.roll(-1, 1), y0.roll(-1, 1)
    clockwise = (x0 * y1 - x1 * y0).sum(1, keepdim=True) > 0
    upper = torch.ceil(torch.minimum(y0, y1) - 0.5)
    first_row = torch.maximum(upper, box[:, 1:2])
    end_row = torch.minimum(torch.ceil(torch.maximum(y0, y1) - 0.5), box[:, 3:4])
    rows = (end_row - first_row).clamp_min_(0).to(torch.int64).reshape(-1)

    slope = (x1 - x0) / torch.where(y1 == y0, 1.0, y1 - y0)
    intercept = x0 + (0.5 - y0) * slope
    enters = torch.where((y0 > y1) == clockwise, weight[:, None], -weight[:, None])
    width = box[:, 2] - box[:, 0]
    corner = start - box[:, 1] * width - box[:, 0]

    edge = torch.arange(N * V, device=device).repeat_interleave(rows)
    ends = rows.cumsum(0)
    before = (first_row.reshape(-1).to(torch.int64) - ends + rows).index_select(0, edge)
    row = torch.arange(len(edge), device=device) + before
    x = torch.addcmul(
        intercept.reshape(-1).index_select(0, edge), row, slope.reshape(-1).index_select(0, edge)
    )
    polygon = edge // V
    column = torch.ceil(x - 0.5).to(torch.int64)
    column = column.clamp_(box[:, 0].index_select(0, polygon), box[:, 2].index_select(0, polygon))
    place = corner.index_select(0, polygon).addcmul_(row, width.index_select(0, polygon)).add_(column)

    changes = torch.zeros(canvas_size + 1, dtype=weight.dtype, device=device)
    changes.index_add_(0, place, enters.reshape(-1).index_select(0, edge))
    return torch.cumsum(changes, 0, dtype=weight.dtype)[:-1].clamp_min_(0)


def highest_bit(bits: torch.Tensor) -> torch.Tensor:
    """Index of the highest bit set, int32.

    Args:
        bits: positive int64 (below 2^62) or positive int32 (below 2^24).

    The result is the exponent of the number as a float.  An int64 may have more bits than a float64 can hold;
    clearing every bit below a set one prevents rounding up to the next power of two.
    """
    if bits.dtype == torch.int32:
        return (bits.float().view(torch.int32) >> 23).sub_(127)
    leading = (bits >> 1).bitwise_not_().bitwise_and_(bits)
    return (leading.double().view(torch.int64) >> 52).to(torch.int32).sub_(1023)

"""From bits to nodes: which node is visible at each pixel of some images of a batch.

Three look-ups per pixel: the topmost silhouette, then the topmost part inlay that this silhouette may show, then the
topmost subpart inlay that the node found so far may show.  A child's index is larger than its parent's, and the
deepest visible node is therefore the largest of the three.
"""

from __future__ import annotations

import torch

from minisam.data.partworld.layout import OBJECTS
from minisam.data.partworld.plan import CANVAS_BITS, NODE_SLOTS, Outlines, Plan
from minisam.data.partworld.raster import highest_bit, rasterise
from minisam.data.partworld.templates import MAX_PIECES


def rasterise_images(
    outlines: Outlines, weight: torch.Tensor, images: range, pixels: list[int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of weights over the canvases of some images, flat, and where each canvas of `pixels` starts."""
    rows = slice(outlines.first[images.start], outlines.first[images.stop])
    counts = torch.tensor(outlines.first[images.start : images.stop + 1]).diff()
    ends = torch.tensor(pixels).cumsum(0)
    canvas = ends - torch.tensor(pixels)
    start = outlines.start[rows] + canvas.repeat_interleave(counts)
    sums = rasterise(
        outlines.vertices[rows].to(device), weight[rows].to(device), start.to(device), outlines.box[rows].to(device),
        int(ends[-1]),
    )  # fmt: skip
    return sums, canvas.to(torch.int32).to(device)[:, None, None]


def visible_nodes(
    plan: Plan, images: range, size: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Visible node and silhouette of every pixel.

    Returns:
        int32 [n, S, S], deepest node, numbered over all images: `image * NODE_SLOTS + node`.
        int32 [n, S, S], bit of the topmost silhouette (0 = background), which is its place in painter's order.
    """
    n, S = len(images), size

    def table(values: torch.Tensor) -> torch.Tensor:
        return values[images.start : images.stop].reshape(-1).to(device)

    def steps(pitch: int) -> torch.Tensor:
        return torch.arange(0, n * pitch, pitch, dtype=torch.int32, device=device)[:, None, None]

    one = torch.ones((), dtype=torch.int64)
    bits, _ = rasterise_images(plan.silhouettes, one << plan.silhouettes.bit, images, [S * S] * n, device)
    depth = highest_bit(bits.bitwise_or_(1)).reshape(n, S, S)
    silhouette = (depth + steps(CANVAS_BITS)).reshape(-1)

    inlay_bits = (one << plan.inlays.bit).to(torch.int32)
    strip = plan.strip[images.start : images.stop]
    windows, strip_start = rasterise_images(plan.inlays, inlay_bits, images, strip, device)
    pixels = torch.arange(S, dtype=torch.int32, device=device)
    start, width, first = (
        table(values).index_select(0, silhouette).reshape(n, S, S) for values in plan.bit_window
    )
    address = torch.addcmul(start, width, pixels[:, None]).add_(pixels).add_(strip_start).reshape(-1)
    # Through rounding, an outline may cross itself and count twice there. Twice its bit is another outline's bit,
    # and that pixel may lie outside the other's window.
    inlays = windows.index_select(0, address.clamp_(0, len(windows) - 1))
    first = first.add_(steps(OBJECTS * MAX_PIECES)).reshape(-1)
    node_of = table(plan.inlay_node)

    def topmost(allowed: torch.Tensor) -> torch.Tensor:
        return node_of.index_select(0, highest_bit(allowed.bitwise_and_(inlays).bitwise_or_(1)).add_(first))

    node = table(plan.bit_node).index_select(0, silhouette)
    image_nodes = steps(NODE_SLOTS).expand(n, S, S).reshape(-1)
    node = torch.maximum(node, topmost(table(plan.bit_inlays).index_select(0, silhouette))).add_(image_nodes)
    deeper = topmost(table(plan.node_inlays).index_select(0, node)).add_(image_nodes)
    return torch.maximum(node, deeper).reshape(n, S, S), depth


def label_maps(plan: Plan, images: range, node: torch.Tensor) -> torch.Tensor:
    """Whole, part and subpart of each pixel, int16 [n, 3, S, S]."""
    n, S = node.shape[:2]
    flat = node.reshape(-1)
    labels = torch.empty(n, 3, S, S, dtype=torch.int16, device=node.device)
    for level, table in enumerate(plan.node_labels):
        column = table[images.start : images.stop].reshape(-1).to(node.device)
        labels[:, level] = column.index_select(0, flat).reshape(n, S, S)
    return labels


def visible_area(plan: Plan, images: range, node: torch.Tensor) -> torch.Tensor:
    """Visible pixels of each node with everything below it, int32 [n, MAX_NODES]."""
    n, nodes = len(images), plan.level.shape[1]
    own = torch.bincount(node.reshape(-1), minlength=n * NODE_SLOTS).reshape(n, NODE_SLOTS)[:, :nodes].cpu()
    level = plan.level[images.start : images.stop]
    parent = plan.parent[images.start : images.stop].long().clamp_min(0)
    for depth in (2, 1):
        own.scatter_add_(1, parent, torch.where(level == depth, own, 0))
    return own.to(torch.int32)

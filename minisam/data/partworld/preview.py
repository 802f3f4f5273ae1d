"""Contact sheet of a world: each image, with its whole, part and subpart maps in flat colours."""

from __future__ import annotations

import torch

from minisam.data.partworld.batch import SceneBatch

GAP = 4


def label_colours(labels: torch.Tensor) -> torch.Tensor:
    """Colours [3, S, S] of a label map [S, S]: one hue per node, black for none."""
    node = labels.long()
    hue = (node * 0.618034).frac()[None] + torch.tensor([0.0, 1 / 3, 2 / 3])[:, None, None]
    bright = 0.75 + 0.25 * ((node * 7) % 3 - 1) / 2
    wheel = ((6 * hue.frac() - 3).abs() - 1).clamp(0.1, 1) * bright
    return (255 * wheel * (node >= 0)).to(torch.uint8)


def contact_sheet(scenes: SceneBatch, columns: int) -> torch.Tensor:
    """All scenes as rows of (image, whole, part, subpart), uint8 [3, height, width], `columns` scenes side by side."""
    batch, _, size, _ = scenes.images.shape
    rows = -(-batch // columns)
    cell_width = 4 * size + GAP
    sheet = torch.full(
        (3, rows * (size + GAP) - GAP, columns * (cell_width + GAP) - 2 * GAP), 255, dtype=torch.uint8
    )
    for index in range(batch):
        panels = [scenes.images[index].cpu(), *(label_colours(level) for level in scenes.labels[index].cpu())]
        top = index // columns * (size + GAP)
        left = index % columns * (cell_width + GAP)
        sheet[:, top : top + size, left : left + 4 * size] = torch.cat(panels, 2)
    return sheet

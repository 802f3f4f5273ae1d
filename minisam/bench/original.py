"""segment-anything's original code: the oracle of the parity tests, the peer of the benchmarks.

minisam itself never needs it.  The package imports four names from torchvision, which is not available for every
torch version that minisam supports. If torchvision is not installed, small equivalents based on Pillow and torch
replace these names during the import.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from minisam.errors import MinisamError

PACKAGE = "segment_anything"
INSTALL_COMMAND = "pip install --no-deps segment-anything-py==1.0.1"


class OriginalMissingError(MinisamError):
    """segment-anything's package is not installed."""


def is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


def import_original(submodule: str = "") -> Any:
    """The package `segment_anything`, or a submodule, for example `modeling.image_encoder`.

    Raises OriginalMissingError, with the command that installs it, if it is not installed.
    """
    if not is_installed():
        raise OriginalMissingError(f"segment-anything's own code is not installed: {INSTALL_COMMAND}")
    with torchvision_stand_in():
        importlib.import_module(PACKAGE)
    return importlib.import_module(f"{PACKAGE}.{submodule}" if submodule else PACKAGE)


@contextmanager
def torchvision_stand_in() -> Iterator[None]:
    """Within this block, `import torchvision` finds the stand-ins, unless the real one is installed."""
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    names = ("torchvision", "torchvision.ops", "torchvision.ops.boxes")
    names += ("torchvision.transforms", "torchvision.transforms.functional")
    stand_ins = {name: ModuleType(name) for name in names}
    vars(stand_ins["torchvision.ops.boxes"]).update(batched_nms=batched_nms, box_area=box_area)
    vars(stand_ins["torchvision.transforms.functional"]).update(resize=resize, to_pil_image=Image.fromarray)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An image scaled to (height, width) by Pillow's antialiased bilinear filter."""
    height, width = size
    return image.resize((width, height), Image.Resampling.BILINEAR)


def box_area(boxes: Tensor) -> Tensor:
    """The areas [N] of boxes [N, 4] as (x0, y0, x1, y1)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression among boxes of the same index; the indices kept, best score first.

    On the CPU, because it processes one box after the other.
    """
    device = boxes.device
    boxes, scores, idxs = boxes.cpu(), scores.cpu(), idxs.cpu()
    order = scores.argsort(descending=True, stable=True)
    areas = box_area(boxes)
    alive = torch.ones(len(order), dtype=torch.bool)
    kept = []
    for place, best in enumerate(order):
        if not alive[place]:
            continue
        kept.append(best)
        corners = torch.minimum(boxes[order, 2:], boxes[best, 2:]) - torch.maximum(
            boxes[order, :2], boxes[best, :2]
        )
        overlap = corners.clamp(min=0).prod(dim=1)
        iou = overlap / (areas[order] + areas[best] - overlap)
        # Boxes without an area have no IoU (0 / 0) and are kept: torchvision's rule.
        alive &= ~(iou > iou_threshold) | (idxs[order] != idxs[best])
    return (torch.stack(kept) if kept else order).to(device)

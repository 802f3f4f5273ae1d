"""How found objects and true objects overlap, image by image and category by category: boxes, masks and boundaries.

    box        IoU of the boxes (x, y, width, height)
    mask       IoU of the masks
    boundary   min(mask IoU, Boundary IoU), as in the paper's Boundary AP (Cheng et al. 2021, section 4)

The sizes of objects follow pycocotools: a target's size is its annotation's `area`. A result's size is the area of its
box if it has one, also for masks, otherwise that of its mask.

D results   G targets   of one category in one image
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minisam.data.coco import CocoFile, category_of, coco_annotation, decode_segmentation
from minisam.data.coco_results import Result, is_number
from minisam.errors import DatasetError, MinisamError
from minisam.evaluate.mask_matching import Overlaps, overlaps
from minisam.masks.boundary import boundary, boundary_width

KINDS = ("box", "mask", "boundary")


@dataclass(frozen=True)
class Instance:
    """A true or found object; its mask [H, W], unless only boxes are compared."""

    box: tuple[float, float, float, float]
    area: float
    mask: NDArray[np.bool_] | None
    score: float = 1.0
    crowd: bool = False


def category_overlaps(
    truth: CocoFile, results: Sequence[Result], with_masks: bool
) -> dict[str, dict[Any, list[Overlaps]]]:
    """Kind -> category id -> the overlaps of every image that has a target or a result, by increasing image id.

    Raises DatasetError for a result of an image that `truth` does not have, and for damaged masks.
    """
    known = {image["id"]: image for image in truth.images}
    found: dict[Any, list[Result]] = defaultdict(list)
    for result in results:
        if result.image_id not in known:
            raise DatasetError(
                f"result {result.place} is of image {result.image_id!r}, which is not among the true images"
            )
        found[result.image_id].append(result)
    kinds = KINDS if with_masks else KINDS[:1]
    by_kind: dict[str, dict[Any, list[Overlaps]]] = {kind: defaultdict(list) for kind in kinds}
    for image_id in sorted(known, key=lambda id: (isinstance(id, str), id)):
        size = known[image_id]["height"], known[image_id]["width"]
        own: dict[Any, tuple[list[Instance], list[Instance]]] = defaultdict(lambda: ([], []))
        for annotation in truth.annotations.get(image_id, []):
            own[category_of(annotation)][1].append(true_instance(annotation, size, with_masks))
        for result in found[image_id]:
            own[result.category_id][0].append(found_instance(result, size, with_masks))
        for category, (detected, targets) in own.items():
            for kind in kinds:
                by_kind[kind][category].append(instance_overlaps(kind, detected, targets, size))
    return by_kind


def true_instance(annotation: dict[str, Any], size: tuple[int, int], with_mask: bool) -> Instance:
    """An annotation of a COCO file; its box and area come from its mask if they are missing."""
    box, area = annotation.get("bbox"), annotation.get("area")
    has_box = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    mask = None
    if with_mask or not has_box or not is_number(area):
        mask = decoded(annotation.get("segmentation"), size, f"annotation {annotation.get('id')!r}")
    return Instance(
        box=as_box(box if has_box else None, mask),
        area=float(area) if is_number(area) else pixels(mask),
        mask=mask,
        crowd=annotation.get("iscrowd") in (1, True),
    )


def found_instance(result: Result, size: tuple[int, int], with_mask: bool) -> Instance:
    """A detection on an image of `size` (H, W); its area is that of its box, if it has one, as in COCO."""
    mask = None
    if with_mask or result.box is None:
        mask = decoded(result.segmentation, size, f"result {result.place}")
    box = as_box(result.box, mask)
    area = box[2] * box[3] if result.box is not None else pixels(mask)
    return Instance(box, area, mask, result.score)


def pixels(mask: NDArray[np.bool_] | None) -> float:
    return 0.0 if mask is None else float(np.count_nonzero(mask))


def decoded(segmentation: Any, size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Raises DatasetError, with the object's name, for a damaged mask or one of another size."""
    try:
        return decode_segmentation(segmentation, size)
    except MinisamError as error:
        raise DatasetError(f"{name}: {error}") from None


def as_box(box: Any, mask: NDArray[np.bool_] | None) -> tuple[float, float, float, float]:
    """The given box, or that of a mask, which is zero for an empty one."""
    x, y, width, height = box if box is not None else coco_annotation(mask, 0, 0)["bbox"]  # pyright: ignore
    return float(x), float(y), float(width), float(height)


def instance_overlaps(
    kind: str, detected: list[Instance], targets: list[Instance], size: tuple[int, int]
) -> Overlaps:
    """The overlaps of one category in one image."""
    scores = np.array([one.score for one in detected], np.float64)
    crowd = np.array([one.crowd for one in targets], bool)
    of_boxes = kind == "box"
    iou = (box_overlaps if of_boxes else partial(mask_overlaps, size=size))(detected, targets, crowd)
    if kind == "boundary":
        d = boundary_width(*size)
        iou = np.minimum(iou, mask_overlaps(detected, targets, crowd, size, d))
    areas = np.array([one.area for one in detected], np.float64)
    return Overlaps(iou, scores, areas, np.array([one.area for one in targets], np.float64), crowd)


def box_overlaps(
    detected: list[Instance], targets: list[Instance], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """IoU of boxes [D, G]; for a crowd, the share of the result's box inside it."""
    first, second = (
        np.array([one.box for one in group], np.float64).reshape(-1, 4) for group in (detected, targets)
    )
    (a0, a1), (b0, b1) = ((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]) for boxes in (first, second))
    shared = (np.minimum(a1[:, None], b1) - np.maximum(a0[:, None], b0)).clip(min=0).prod(axis=2)
    area, target_area = first[:, 2:].prod(axis=1)[:, None], second[:, 2:].prod(axis=1)
    whole = np.where(crowd, area, area + target_area - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)


def mask_overlaps(
    detected: list[Instance],
    targets: list[Instance],
    crowd: NDArray[np.bool_],
    size: tuple[int, int],
    d: int | None = None,
) -> NDArray[np.float64]:
    """IoU of masks [D, G], or of their boundaries of d pixels; for a crowd, the share of the result inside it."""
    stacks = []
    for group in (detected, targets):
        masks = [one.mask for one in group if one.mask is not None]
        stacks.append(
            np.array([mask if d is None else boundary(mask, d) for mask in masks]).reshape(-1, *size)
        )
    return overlaps(stacks[0], np.zeros(len(detected)), stacks[1], crowd).iou

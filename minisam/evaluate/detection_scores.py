"""COCO's twelve numbers for a detector, class by class and as their mean (cocoapi, cocoeval.py).

    AP          mean over the IoU thresholds 0.5, 0.55, …, 0.95          AP50, AP75   at one threshold
    AP_small    objects up to 32² pixels;  AP_medium up to 96²;  AP_large above
    AR1, AR10, AR100   recall with the best 1, 10 or 100 results of an image;  AR_small, AR_medium, AR_large with 100

A class without targets has no AP, and the mean is over the other classes. nan here is pycocotools' −1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minisam.evaluate.average_precision import average_precision
from minisam.evaluate.average_recall import average_recall
from minisam.evaluate.mask_matching import SIZES, Overlaps

Scores = dict[str, float]


@dataclass(frozen=True)
class ClassScores:
    """The twelve numbers of one class, and how many targets it has, without crowds."""

    id: Any
    name: str
    targets: int
    scores: Scores


def class_scores(images: Sequence[Overlaps]) -> Scores:
    """The twelve numbers of one class, from its overlaps in every image."""
    by_threshold = average_precision(images)
    scores = {
        "AP": float(by_threshold.mean()),
        "AP50": float(by_threshold[0]),
        "AP75": float(by_threshold[5]),
    }
    sizes = [size for size in SIZES if size != "all"]
    scores |= {f"AP_{size}": float(average_precision(images, size).mean()) for size in sizes}
    scores |= {f"AR{most}": average_recall(images, most=most) for most in (1, 10, 100)}
    return scores | {f"AR_{size}": average_recall(images, size, most=100) for size in sizes}


def all_class_scores(
    categories: Mapping[Any, str], by_category: Mapping[Any, Sequence[Overlaps]]
) -> list[ClassScores]:
    """The numbers of every category, in the order of their ids; results of other categories do not count."""
    scored = []
    for id in sorted(categories, key=lambda id: (isinstance(id, str), id)):
        images = by_category.get(id, [])
        targets = sum(int((~image.crowd).sum()) for image in images)
        scored.append(ClassScores(id, categories[id], targets, class_scores(images)))
    return scored


def mean_scores(classes: Sequence[ClassScores]) -> Scores:
    """The mean of each number over the classes that have it; nan if none has."""
    names = list(class_scores([]))
    values = {
        name: [one.scores[name] for one in classes if not math.isnan(one.scores[name])] for name in names
    }
    return {name: float(np.mean(found)) if found else math.nan for name, found in values.items()}

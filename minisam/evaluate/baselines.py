"""Three classical methods without a network, on the same targets and prompts.

    filled box       every pixel of the target's box
    GrabCut          the box as the first guess, five rounds of colour models and a graph cut (Rother et al. 2004)
    Felzenszwalb     the region under a click in the middle of the target, at a fine, a middle and a coarse scale
                     (Felzenszwalb and Huttenlocher 2004); the best of the three, and the middle one

GrabCut comes from OpenCV and Felzenszwalb's method from scikit-image.  Neither package is installed with minisam; a
method whose package is missing is skipped with a message.

P targets of one image   S pixels per side
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.statistics import weighted_mean
from minisam.masks.boxes import tight_boxes
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou

SCALES = (50, 200, 800)
"""Felzenszwalb's `scale`: larger gives larger regions."""
GRABCUT_ROUNDS = 5
Image = NDArray[np.uint8]


class ImageTargets(NamedTuple):
    """One image, uint8 [h, w, 3], and its targets, bool [P, S, S] with h, w <= S, padded right and below."""

    image: Image
    targets: Tensor


@dataclass(frozen=True)
class Baseline:
    """`masks(image, targets)` returns its masks, bool [P, C, S, S], C per prompt; it needs `package`."""

    name: str
    package: str | None
    metrics: tuple[str, ...]
    """The metrics reported: "oracle" is the best of the C masks, "top1" the middle one, "box_single" the only one."""
    masks: Callable[[Image, Tensor], Tensor]


def filled_boxes(image: Image, targets: Tensor) -> Tensor:
    """The boxes of targets [P, S, S], filled: [P, 1, S, S]."""
    x0, y0, x1, y1 = tight_boxes(targets)[:, :, None, None].unbind(1)
    along = torch.arange(targets.shape[-1])
    y, x = along[None, :, None], along[None, None]
    return ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))[:, None]


def grabcut_masks(image: Image, targets: Tensor) -> Tensor:
    """GrabCut from each target's box; the box itself if the graph cut finds nothing: [P, 1, S, S]."""
    import cv2

    answers = filled_boxes(image, targets)
    height, width = image.shape[:2]
    for number, (x0, y0, x1, y1) in enumerate(tight_boxes(targets).int().tolist()):
        labels = np.zeros((height, width), np.uint8)
        models = np.zeros((2, 1, 65))
        rectangle = (x0, y0, x1 - x0 + 1, y1 - y0 + 1)
        if rectangle[2] >= width and rectangle[3] >= height:
            continue  # no pixels are left outside from which to learn the background
        cv2.setRNGSeed(0)
        cv2.grabCut(image, labels, rectangle, models[0], models[1], GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
        cut = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        if cut.any():
            answers[number] = False
            answers[number, 0, :height, :width] = torch.from_numpy(cut)
    return answers


def felzenszwalb_regions(image: Image, targets: Tensor) -> Tensor:
    """The region under a click in the middle of each target, at every one of `SCALES`: [P, 3, S, S]."""
    from skimage.segmentation import felzenszwalb

    height, width = image.shape[:2]
    clicks = interior_points(targets)[0]
    answers = torch.zeros((len(targets), len(SCALES), *targets.shape[1:]), dtype=torch.bool)
    for place, scale in enumerate(SCALES):
        regions = torch.from_numpy(felzenszwalb(image, scale=scale, sigma=0.8, min_size=20))
        under = regions[clicks[:, 1], clicks[:, 0]]
        answers[:, place, :height, :width] = regions == under[:, None, None]
    return answers


BASELINES = (
    Baseline("filled box", None, ("box_single",), filled_boxes),
    Baseline("GrabCut", "cv2", ("box_single",), grabcut_masks),
    Baseline("Felzenszwalb", "skimage", ("oracle", "top1"), felzenszwalb_regions),
)
INSTALLED_BY = {"cv2": "opencv-python-headless", "skimage": "scikit-image"}


def measure_baselines(images: Iterable[ImageTargets]) -> dict[str, dict[str, Estimate]]:
    """Mean IoU of every baseline that can run, by its name and metric, with 95 % intervals over images."""
    usable = [one for one in BASELINES if one.package is None or find_spec(one.package)]
    ious: dict[tuple[str, str], list[Tensor]] = {}
    index: list[Tensor] = []
    for number, (image, targets) in enumerate(images):
        index.append(torch.full((len(targets),), number))
        for baseline in usable:
            iou = mask_iou(baseline.masks(image, targets), targets[:, None])
            chosen = {"oracle": iou.amax(dim=1), "top1": iou[:, iou.shape[1] // 2], "box_single": iou[:, 0]}
            for metric in baseline.metrics:
                ious.setdefault((baseline.name, metric), []).append(chosen[metric])
    weights = image_weights(torch.cat(index))
    results: dict[str, dict[str, Estimate]] = {one.name: {} for one in usable}
    for (name, metric), values in ious.items():
        joined = torch.cat(values).double()
        results[name][metric] = estimate(lambda w, joined=joined: weighted_mean(joined, w), weights)
    return results


def missing_baselines() -> list[str]:
    """A line for each baseline that cannot run here: its name, and what to install."""
    return [
        f"{one.name}: left out; pip install {INSTALLED_BY[one.package]}"
        for one in BASELINES
        if one.package and not find_spec(one.package)
    ]


def baseline_table(results: dict[str, dict[str, Estimate]]) -> str:
    """A Markdown table: one row per baseline, ± half of the 95 % interval."""
    columns = {"oracle": "1 click, best of 3 scales", "top1": "1 click, middle scale", "box_single": "box"}
    rows = [
        ["without a network", *columns.values()],
        ["---"] * (1 + len(columns)),
        *(
            [name, *(metrics[key].plus_minus() if key in metrics else "" for key in columns)]
            for name, metrics in results.items()
        ),
    ]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)

"""Detecting the objects of images, and how the results overlap with the true ones, image by image.

AP of all images follows from the matches of each (minisam/evaluate/average_precision.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minisam.adapt.rsprompter.examples import input_batch
from minisam.adapt.rsprompter.instances import Instances, Sizes
from minisam.adapt.rsprompter.labelled_images import LabelledImages
from minisam.adapt.rsprompter.prompter import Prompter
from minisam.data.segmentation_folder import Picture
from minisam.data.skipped import Skipped
from minisam.errors import MinisamError
from minisam.evaluate.average_precision import average_precision
from minisam.evaluate.category_overlaps import Instance, as_box, instance_overlaps
from minisam.evaluate.mask_matching import IOU_THRESHOLDS, Overlaps
from minisam.predict.resize_longest_side import ResizeLongestSide

ImageOverlaps = dict[tuple[str, int], Overlaps]
"""By kind, "box" or "mask", and label."""


def detect_objects(prompter: Prompter, image: NDArray[np.uint8]) -> Instances:
    """The objects of an image [H, W, 3] uint8, in its pixels; `prompter` must be in evaluation mode."""
    scaled = ResizeLongestSide(prompter.image_size).apply_image(image)
    sizes = Sizes((scaled.shape[0], scaled.shape[1]), (image.shape[0], image.shape[1]))
    inputs = input_batch(prompter.sam, [torch.from_numpy(scaled).permute(2, 0, 1)])
    return prompter.detect(inputs, [sizes])[0]


def measured_images(
    prompter: Prompter,
    images: LabelledImages,
    numbers: Sequence[int],
    labels: dict[Any, int],
    skipped: Skipped,
) -> Iterator[ImageOverlaps]:
    """The overlaps of each image; `labels` maps category ids to 0 … C − 1.  Damaged images are recorded."""
    for number in numbers:
        try:
            picture = images.read(number)
            found = detect_objects(prompter, picture.image)
            yield overlaps_of(found, picture, labels, len(prompter.config.classes))
        except (MinisamError, OSError) as error:
            skipped.add(images.names[number], error)
            yield {}


def ap_of(images: Sequence[ImageOverlaps], kind: str, classes: int) -> NDArray[np.float64]:
    """AP of each class that has targets, at every threshold, [classes with targets, 10]."""
    rows = [
        average_precision([image[kind, label] for image in images if (kind, label) in image])
        for label in range(classes)
    ]
    return np.array([row for row in rows if not np.isnan(row).any()]).reshape(-1, len(IOU_THRESHOLDS))


def overlaps_of(found: Instances, picture: Picture, labels: dict[Any, int], classes: int) -> ImageOverlaps:
    """The overlaps of each class with a result or a target, for boxes and masks."""
    size = picture.image.shape[0], picture.image.shape[1]
    detected: list[list[Instance]] = [[] for _ in range(classes)]
    targets: list[list[Instance]] = [[] for _ in range(classes)]
    boxes, masks = found.boxes.cpu().double(), found.masks.cpu().numpy()
    for box, label, score, mask in zip(
        boxes.tolist(), found.labels.tolist(), found.scores.tolist(), masks, strict=True
    ):
        corner = (box[0], box[1], box[2] - box[0], box[3] - box[1])
        detected[label].append(Instance(corner, float(np.count_nonzero(mask)), mask, score))
    for segment in picture.segments:
        if segment.category in labels:
            mask = segment.mask()
            area = float(np.count_nonzero(mask))
            targets[labels[segment.category]].append(
                Instance(as_box(None, mask), area, mask, crowd=segment.crowd)
            )
    return {
        (kind, label): instance_overlaps(kind, detected[label], targets[label], size)
        for label in range(classes)
        if detected[label] or targets[label]
        for kind in ("box", "mask")
    }

"""Counts of the objects that a generator finds, image by image, which allows resampling of images.

G objects (wholes, parts and subparts) of a scene   R resamples
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.evaluate.average_recall import proposal_scores, targets_found
from minisam.evaluate.mask_matching import IOU_THRESHOLDS, Overlaps, match_masks, overlaps
from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.experiment import Settings
from minisam.model import Sam
from minisam.predict.everything.automatic_mask_generator import SamAutomaticMaskGenerator
from minisam.train.targets import eligible_nodes

AMONG = (10, 100, 1000)
ALL, *LEVELS = "all", "whole", "part", "subpart"
PREDICTED_IOUS = tuple(np.arange(0, 0.96, 0.05).round(2).tolist())
RIGHT_FROM = np.array([0.5])

Scene = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]


def scenes(sam: Sam, settings: Settings) -> Iterator[Scene]:
    """Images [S, S, 3] with their objects [G, S, S], no smaller than a token, and the level of each [G]."""
    smallest = (sam.image_encoder.patch_size / sam.image_encoder.img_size) ** 2
    for seed in settings.seeds:
        for batch in evaluation_scenes(
            "train", settings.images, sam.image_encoder.img_size, seed, sam.device
        ):
            nodes = eligible_nodes(batch, smallest).cpu()
            for b, image in enumerate(batch.images.permute(0, 2, 3, 1).cpu().numpy()):
                node = nodes[b].nonzero()[:, 0]
                level = batch.level[b].cpu()[node].long()
                labels = batch.labels[b].cpu()[level]
                yield np.ascontiguousarray(image), (labels == node[:, None, None]).numpy(), level.numpy()


def records(sam: Sam, scene: Scene, given: dict, by_stability: bool = True) -> Overlaps:
    """The generator's masks and the objects, with the scores for ranking: predicted IoU, with or without stability."""
    image, things, _ = scene
    found = SamAutomaticMaskGenerator(sam, **given, progress=False).generate(image)
    masks = np.array([record["segmentation"] for record in found], bool).reshape(-1, *image.shape[:2])
    sure = np.array([record["predicted_iou"] for record in found])
    stable = np.nan_to_num([record["stability_score"] for record in found])
    return overlaps(masks, proposal_scores(sure, stable) if by_stability else sure, things)


def recall_counts(image: Overlaps, levels: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    """Objects found over all thresholds of IoU, and objects: among the k best masks, and for each level."""
    counts = {f"{ALL} {k}": targets_found(image, most=k) for k in AMONG}
    for number, level in enumerate(LEVELS):
        of_level = levels == number
        alone = replace(
            image,
            iou=image.iou[:, of_level],
            target_areas=image.target_areas[of_level],
            crowd=image.crowd[of_level],
        )
        counts[f"{level} {AMONG[-1]}"] = targets_found(alone, most=AMONG[-1])
    return counts


def sweep_counts(image: Overlaps) -> Tensor:
    """For each threshold of predicted IoU: correct masks, masks, objects, [T, 3].

    Suppression and matching go by falling predicted IoU; masks below a threshold do not affect those above it.
    """
    match = match_masks(image, most=len(image.scores), thresholds=RIGHT_FROM)
    above = match.scores > np.array(PREDICTED_IOUS)[:, None]
    right = (above & match.found).sum(axis=1)
    return torch.from_numpy(np.stack([right, above.sum(axis=1), np.full(len(right), match.targets)], axis=1))


def average_recall_of(counts: list[tuple[int, int]], weights: Tensor) -> Tensor:
    """AR of each resample, weights [R, images] -> [R]."""
    found, things = torch.tensor(counts, dtype=weights.dtype).T
    return weights @ found / (weights @ things).clamp(min=1) / len(IOU_THRESHOLDS)


def share(counts: Tensor, of: int, weights: Tensor) -> Tensor:
    """Correct masks over all masks (of = 1) or over all objects (2), from [images, 3]; 1 if there are no masks."""
    right, all_of_them = (weights @ counts[:, column].to(weights.dtype) for column in (0, of))
    return torch.where(all_of_them > 0, right / all_of_them.clamp(min=1), 1.0 if of == 1 else 0.0)

"""How good a network is on held-out images of a folder, and what it lost on PartWorld; before and after, paired.

    change = mean over masks of (IoU after - IoU before), with a 95 % interval over images

Both networks are measured with the same masks, boxes and first clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from minisam.adapt.own_images import OwnImages
from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.measure import Measurements, measure_masks
from minisam.evaluate.statistics import top_ranked, weighted_mean
from minisam.evaluate.valid_iou import valid_iou_of_masks
from minisam.evaluate.world import measure_world
from minisam.model import Sam
from minisam.predict.prompted import Prompted

CLICKS = 5
WORLD = "train"
WORLD_IMAGES = {256: 32, 512: 16, 1024: 4}
"""How many images of PartWorld are measured, by the largest input size that gets as many."""
TARGETS = 6


@dataclass(frozen=True)
class Change:
    """Mean IoU before and after, and the change with its interval."""

    name: str
    before: float
    after: float
    change: Estimate


@torch.inference_mode()
def measure_own(
    sam: Sam, images: OwnImages, indices: Sequence[int], keep_embeddings: bool, clicks: int = CLICKS
) -> Measurements:
    """The targets of the images `indices`; `keep_embeddings` uses those that are known, and keeps new ones."""
    parts = []
    for index in indices:
        found = images.read(index)
        assert found is not None, "only usable images are measured"
        masks = found[1][:TARGETS].to(images.device)
        embed = images.embedding if keep_embeddings else images.encode
        embedding = embed(index, sam)
        place = torch.zeros(len(masks), dtype=torch.long, device=images.device)
        generator = torch.Generator(images.device).manual_seed(index)
        of_any = partial(valid_iou_of_masks, objects=masks)
        measured = measure_masks(Prompted(sam, embedding, place), masks, clicks, generator, of_any)
        parts.append(replace(measured, image_index=torch.full((len(masks),), index)))
    return Measurements.join(parts)


def measure_partworld(sam: Sam, seed: int = 0) -> Measurements:
    """A few images of PartWorld at the network's input size: what it could do before."""
    size = sam.image_encoder.img_size
    images = next((n for limit, n in WORLD_IMAGES.items() if size <= limit), 2)
    return measure_world(sam, WORLD, images, TARGETS, (seed,), clicks=1)


def changes(before: Measurements, after: Measurements) -> list[Change]:
    """One click, boxes and, where they were measured, five clicks."""
    weights = image_weights(before.image_index)
    found = []
    for name, values in scores(before).items():
        one, other = values.double(), scores(after)[name].double()
        difference = estimate(lambda w, d=other - one: weighted_mean(d, w), weights)
        found.append(Change(name, float(one.mean()), float(other.mean()), difference))
    return found


def scores(measured: Measurements) -> dict[str, Tensor]:
    """IoU [P] by what the user does."""
    found = {
        "one click, best of three": measured.centre_iou.amax(dim=1),
        "one click, ranked first": measured.centre_shown[:, 0],
        "box, best of three": measured.box_iou.amax(dim=1),
        "box, ranked first": top_ranked(measured.box_iou, measured.box_predicted),
        "box, single mask": measured.box_single,
    }
    clicks = measured.centre_shown.shape[1]
    return found | ({f"{clicks} clicks": measured.centre_shown[:, -1]} if clicks > 1 else {})
